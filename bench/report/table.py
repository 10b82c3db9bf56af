# SPDX-License-Identifier: Apache-2.0
"""What `./dev bench` prints of the works: one table, and what to know before believing it."""

import itertools

from report import goals, tuning
from report.machine import disturbed
from report.summary import label, unit
from report.sweeps import sweep_lines
from report.text import number, print_blocks

COLUMNS = {"oneTBB": "raw oneTBB", "TokenGate": "TokenGate"}
MANY = 5  # works that are warned of one by one
BESIDE = "serial, others"  # one column for all that is neither


def measured(name, contender):
    """One contender in a cell: its figure and half the interquartile range."""
    said = number(contender["value"])
    if contender.get("percentiles") and not contender.get("figures"):
        said = f"p50 {said} p99 {number(contender['percentiles']['p99'])}"
    return f"{label(name)} {said} ±{contender['spread']:.0%}"


def column(contender):
    return COLUMNS.get(contender["family"], BESIDE)


def columns_of(works):
    """Raw oneTBB and TokenGate always, the others where there are some."""
    present = {column(each) for work in works for each in work["contenders"].values()}
    return [*COLUMNS.values(), *({BESIDE} & present)]


def rows(work, columns, is_judged):
    names = [work["id"]] + ([unit(work)] if unit(work) != "ns/task" else [])
    cells = [[measured(name, each) for name, each in work["contenders"].items()
              if column(each) == wanted] for wanted in columns]
    judged = [(*goals.in_words(goal, work), goals.verdict(goal, is_judged))
              for goal in work["goals"]]
    for *line, goal in itertools.zip_longest(names, *cells, judged):
        yield *(cell or "" for cell in line), *(goal or ("", "", ""))


def blocks(works, columns, is_judged):
    """The rows between two rules: those of a work, or of all works of a curve."""
    for _, group in itertools.groupby(works, lambda each: each.get("curve") or each["id"]):
        yield [row for work in group for row in rows(work, columns, is_judged)]


def print_works(report):
    works = list(report["works"].values())
    columns = columns_of(works)
    is_judged = goals.judged(report)
    print_blocks(("work", *columns, "ratio (medium or named)", "goal", "met"),
                 list(blocks(works, columns, is_judged)))
    if is_judged:
        met, missed = goals.counts(works)
        print(f"{met} goals met, {missed} missed")


def compiled_by(report):
    """The compiler, and what it was told to do beyond the usual."""
    build = report["build"]
    return ", ".join([report["compiler"], *(["LTO"] if build.get("b_lto") else []),
                      *(["PGO"] if build.get("b_pgo") == "use" else [])])


def header(report):
    machine = report["machine"]
    return (f"{machine['cpu']}, {machine['cpus']} CPUs; {compiled_by(report)}; "
            f"oneTBB {report['onetbb']}; revision {report['revision']}")


def warnings(report):
    """What a reader must know before he believes the times."""
    if report["quick"]:
        yield "quick run: the results are verified, the times are too short to judge"
    elif report["works"] and report["threads"] != goals.GOAL_THREADS:
        yield f"the goals are those of {goals.GOAL_THREADS} threads, so nothing is judged"
    if report["build"].get("buildtype") not in ("release", "custom") and not report["quick"]:
        yield f"this is a {report['build'].get('buildtype')} build: its times say nothing"
    if report["build"].get("b_pgo") == "generate":
        yield "this build is instrumented for a profile: its times say nothing"
    for name, text in report.get("environment", {}).items():
        yield f"{name}={text} was set"
    if report["quick"]:
        return
    loud = {name: disturbed(work) for name, work in everything(report) if disturbed(work)}
    if len(loud) > MANY:
        others, steal = max(loud.values(), key=sum)
        yield (f"{', '.join(loud)}: other programs used up to {others:.0%} of the machine (and its "
               f"host {steal:.0%}) meanwhile: do not trust these times")
        loud = {}
    for name, (others, steal) in loud.items():
        yield (f"{name}: other programs used {others:.0%} of the machine (and its host "
               f"{steal:.0%}) meanwhile: do not trust these times")
    for sweep in report.get("sweeps", {}).values():
        points = [point for points in sweep["works"].values() for point in points.values()
                  if "error" not in point]
        loud = [disturbed(point) for point in points if disturbed(point)]
        if loud:
            others, steal = max(loud, key=sum)
            yield (f"sweep of {sweep['setting']}: at {len(loud)} of {len(points)} points other "
                   f"programs used up to {others:.0%} of the machine (and its host {steal:.0%}): "
                   "do not trust these times")


def everything(report):
    """All that was measured but sweeps: (what it is called, the work)."""
    yield from report["works"].items()
    for work_id, by_threads in report.get("scaling", {}).get("works", {}).items():
        for threads, work in by_threads.items():
            if int(threads) != report["threads"]:
                yield f"{work_id} with {threads} threads", work


def print_report(report):
    works = list(report["works"].values())
    print(f"\n{header(report)}")
    if works:
        print(f"{report['threads']} threads, medians of {report['rounds']} rounds in turn, ns/task "
              f"where there is no unit (± half the interquartile range)\n")
        for work in works:
            print(f"{work['id']}  {work['tasks']:,} {work['title']}")
        print()
        print_works(report)
    print_scaling(report)
    print_sweeps(report)
    tuning.print_tuning(report)
    for each in warnings(report):
        print(each)


def print_scaling(report):
    scaling = report.get("scaling")
    if not scaling:
        return
    threads = scaling["threads"]
    blocks = []
    for by_threads in scaling["works"].values():
        first = by_threads[str(threads[0])]
        block = []
        for name, contender in first["contenders"].items():
            cells = []
            for count in threads:
                value = by_threads[str(count)]["contenders"][name]["value"]
                base = contender["value"]
                gain = f" ({base / value:.2f} x)" if value and count != threads[0] else ""
                cells.append(number(value) + gain)
            block.append((first["id"] if not block else "", contender["family"], label(name),
                          unit(first), *cells))
        blocks.append(block)
    print(f"\nscaling over threads: medians, and how many times as fast as with {threads[0]}\n")
    print_blocks(("work", "family", "contender", "unit", *map(str, threads)), blocks)


def print_sweeps(report):
    for sweep in report.get("sweeps", {}).values():
        blocks = []
        for work_id, points in sweep["works"].items():
            block = []
            for line in sweep_lines(sweep, points):
                block.append((work_id if not block else "", label(line["name"]), line["unit"],
                              *line["cells"]))
            blocks.append(block)
        shown = [each + (" (default)" if each == sweep["default"] else "")
                 for each in sweep["values"]]
        print(f"\nsweep of {sweep['setting']} ({sweep['variable']}), {sweep['threads']} threads, "
              f"medians of {sweep['rounds']} rounds in turn; relative to {sweep['base']}\n")
        print_blocks(("work", "contender", "unit", *shown), blocks)
        for work_id, points in sweep["works"].items():
            for value, point in points.items():
                if "error" in point:
                    print(f"{sweep['variable']}={value} {work_id}: {point['error']}")
