# SPDX-License-Identifier: Apache-2.0
"""What changed between two runs, beyond noise.

A time of another day says little: the machine may have been slower. What can be compared is how a
contender stands next to raw oneTBB in the same run, whose contenders took turns with it. So for
each contender of TokenGate both are tested, its times and its ratios to oneTBB round by round, and
where there is a rival, the verdict is that of the ratios."""

from report import rank_test
from report.machine import disturbed
from report.summary import fastest, label, repeated, unit, value
from report.text import number, percent, print_blocks

CHANCE = 0.01  # of calling a difference a change where there is none
LEAST_CHANGE = 0.03  # below, a change is not worth a word even if it is certain
SURE = 0.10  # an interval within ± this share is called the same
OF_GOAL = 0.01  # nor is a change below this share of an absolute goal


def change(old, new):
    """Two sets of repetitions: the estimate of new / old with its interval, and the verdict. None
    where a value is not above zero, so that there are no ratios."""
    if min(old) <= 0 or min(new) <= 0:
        return None
    estimate, low, high = rank_test.ratio_interval(old, new, CHANCE)
    certain = rank_test.p_value(old, new) < CHANCE
    if certain and estimate <= 1 - LEAST_CHANGE:
        verdict = "faster"
    elif certain and estimate >= 1 + LEAST_CHANGE:
        verdict = "slower"
    elif 1 - SURE <= low and high <= 1 + SURE:
        verdict = "same"
    else:
        verdict = "noisy"
    return {"estimate": estimate, "low": low, "high": high, "verdict": verdict}


def figures_of(work, name):
    """What is compared of a contender: its value, and of samples the 99th percentile, too."""
    contender = work["contenders"][name]
    if contender.get("samples") and not contender.get("figures"):
        return ["p50", "p99"]
    return ["median"]


def rival_of(old, new, name, figure):
    """The oneTBB contender that was the fastest in the old run, if the new one has it."""
    if old["contenders"][name]["family"] != "TokenGate":
        return None
    rival = fastest(old, "oneTBB", figure)
    known = new["contenders"].get(rival)
    if known is None or not repeated(known, figure):
        return None
    return rival


def ratios(work, name, rival, figure):
    """Round by round. None where a round has no rival's value to compare with."""
    mine = repeated(work["contenders"][name], figure)
    theirs = repeated(work["contenders"][rival], figure)
    if len(mine) != len(theirs) or min([*mine, *theirs], default=0) <= 0:
        return None
    return [a / b for a, b in zip(mine, theirs)]


def compare_contender(old, new, name, figure):
    before, after = old["contenders"][name], new["contenders"][name]
    if not repeated(before, figure) or not repeated(after, figure):
        return None
    line = {"work": old["id"], "contender": name, "family": before["family"], "figure": figure,
            "unit": unit(old), "old": value(before, figure), "new": value(after, figure),
            "time": change(repeated(before, figure), repeated(after, figure)),
            "rival": None, "ratio": None}
    rival = rival_of(old, new, name, figure)
    if rival is not None:
        was, now = ratios(old, name, rival, figure), ratios(new, name, rival, figure)
        if was is not None and now is not None:
            line["rival"] = rival
            line["old_ratio"] = value(before, figure) / value(old["contenders"][rival], figure)
            line["new_ratio"] = value(after, figure) / value(new["contenders"][rival], figure)
            line["ratio"] = change(was, now)
    line["verdict"] = (line["ratio"] or line["time"] or {"verdict": "-"})["verdict"]
    if abs(line["new"] - line["old"]) < least_difference(old, name, figure):
        line["verdict"] = "same"
    return line


def least_difference(work, name, figure):
    """Where a goal is absolute, what is far below it may double and still be nothing."""
    limits = [goal["limit"] for goal in work["goals"]
              if goal["of"] == name and goal["measure"] == "absolute"
              and goal.get("figure", "median") in (figure, "median")]
    return OF_GOAL * min(limits, default=0.0)


def comparable(old, new):
    return old["tasks"] == new["tasks"] and old["threads"] == new["threads"] \
        and unit(old) == unit(new)


def compare(old, new):
    """Two runs: a line for each contender and figure that both have measured."""
    lines = []
    for work_id, was in old["works"].items():
        now = new["works"].get(work_id)
        if now is None or not comparable(was, now):
            continue
        for name in was["contenders"]:
            if name in now["contenders"]:
                for figure in figures_of(was, name):
                    lines.append(compare_contender(was, now, name, figure))
    return [line for line in lines if line is not None]


def remarks(old, new):
    """What makes the comparison worth less."""
    for key, name in (("cpu", "CPU"), ("cpus", "number of CPUs")):
        if old["machine"][key] != new["machine"][key]:
            yield (f"another {name}: {old['machine'][key]} then, {new['machine'][key]} now; "
                   "times cannot be compared, ratios with care")
    for key, name in (("compiler", "compiler"), ("onetbb", "oneTBB")):
        if old.get(key) != new.get(key):
            yield f"another {name}: {old.get(key)} then, {new.get(key)} now"
    for key, name in (("build", "build options"), ("environment", "settings")):
        was, now = old.get(key, {}), new.get(key, {})
        for option in sorted({*was, *now}):
            if was.get(option) != now.get(option):
                yield (f"other {name}: {option} was {was.get(option, 'unset')}, "
                       f"is {now.get(option, 'unset')}")
    if old["quick"] or new["quick"]:
        yield "a quick run is among the two: its times are too short to compare"
    for word, run in (("old", old), ("new", new)):
        noisy = [work["id"] for work in run["works"].values() if disturbed(work)]
        if noisy:
            yield f"other programs disturbed {', '.join(noisy)} in the {word} run"
        if run["rounds"] < 5:
            yield (f"the {word} run has {run['rounds']} rounds; below 5 nothing is certain, "
                   "so that everything is called noisy")
    for word, run, other in (("old", old, new), ("new", new, old)):
        alone = [work_id for work_id in run["works"] if work_id not in other["works"]]
        if alone:
            yield f"only in the {word} run: {', '.join(alone)}"
    changed = [work_id for work_id, was in old["works"].items()
               if work_id in new["works"] and not comparable(was, new["works"][work_id])]
    if changed:
        yield f"not the same in both runs (tasks, threads or unit): {', '.join(changed)}"


def interval(found):
    """A change with the interval that it is certain to be in."""
    if found is None:
        return "-"
    if found["high"] == float("inf"):
        return percent(found["estimate"] - 1)
    return (f"{percent(found['estimate'] - 1)} ({percent(found['low'] - 1)} to "
            f"{percent(found['high'] - 1)})")


def row(line, with_work=True):
    figure = "" if line["figure"] == "median" else f" {line['figure']}"
    suffix = "" if line["unit"] == "ns/task" else f" {line['unit']}"
    ratio = ("", "", "")
    if line["ratio"]:
        ratio = (label(line["rival"]), f"{line['old_ratio']:.2f} → {line['new_ratio']:.2f}",
                 interval(line["ratio"]))
    return (line["work"] if with_work else "", line["family"],
            label(line["contender"]) + figure,
            f"{number(line['old'])} → {number(line['new'])}{suffix}", interval(line["time"]),
            *ratio, line["verdict"])


HEAD = ("work", "family", "contender", "value", "change", "rival", "ratio", "change of the ratio",
        "verdict")


def print_comparison(old, new, lines):
    print(f"\nold: {old['date']}, revision {old['revision']}; "
          f"new: {new['date']}, revision {new['revision']}")
    blocks = {}
    for line in lines:
        block = blocks.setdefault(line["work"], [])
        block.append(row(line, with_work=not block))
    print()
    print_blocks(HEAD, list(blocks.values()))
    counted = [line["verdict"] for line in lines if line["family"] == "TokenGate"]
    print("TokenGate: " + ", ".join(
        f"{counted.count(word)} {word}" for word in ("faster", "slower", "same", "noisy")))
    print(f"faster, slower: at least {LEAST_CHANGE:.0%}, and by chance in less than {CHANCE:.0%} "
          f"of all cases (by the ratio to oneTBB where there is one); same: within "
          f"±{SURE:.0%} for certain; noisy: neither can be told")
    for each in remarks(old, new):
        print(each)


def slower(lines):
    return [line for line in lines
            if line["verdict"] == "slower" and line["family"] == "TokenGate"]
