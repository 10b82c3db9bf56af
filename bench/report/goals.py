# SPDX-License-Identifier: Apache-2.0
"""Whether a contender has reached what is asked of it."""

import statistics

from report.summary import label, unit, value
from report.text import with_unit

GOAL_THREADS = 2  # the goals are those of two threads


def judge_all(works):
    """Works by id, all of one run: a goal may speak of a whole curve."""
    for work in works.values():
        work["goals"] = [judge(goal, work, works) for goal in work["goals"]]


def judge(goal, work, works):
    """The goal with the value that was reached, whose the rival's is, and whether it is met: None
    where that cannot be told."""
    figure = goal.get("figure") or "median"
    mine = value(work["contenders"][goal["of"]], figure)
    verdict = {**goal, "figure": figure, "rival": None, "value": None, "met": None}
    if mine is None:
        return verdict
    if goal["measure"] == "absolute":
        return {**verdict, "value": mine, "met": mine <= goal["limit"]}
    if goal["measure"] == "flat":
        return {**verdict, **flat(goal, work, works, figure)}
    theirs = {name: value(work["contenders"][name], figure) for name in goal["against"]}
    theirs = {name: each for name, each in theirs.items() if each is not None}
    if not theirs:
        return verdict
    rival = min(theirs, key=theirs.get)
    if goal["measure"] == "speed_up":
        reached = theirs[rival] / mine
        met = reached >= goal["limit"]
    else:
        reached = mine / theirs[rival]
        met = reached <= goal["limit"]
    return {**verdict, "rival": rival, "value": reached, "met": met}


def flat(goal, work, works, figure):
    """How far a point is from the median of its curve; where only one work of the curve has the
    goal, it stands for all points, and the one that is furthest away counts."""
    curve = [each for each in works.values()
             if work.get("curve") and each.get("curve") == work["curve"]
             and goal["of"] in each["contenders"]]
    reached = {each["id"]: value(each["contenders"][goal["of"]], figure) for each in curve}
    if len(curve) < 3 or None in reached.values():
        return {}
    bearers = [each for each in curve
               if any(g["measure"] == "flat" and g["of"] == goal["of"] for g in each["goals"])]
    middle = statistics.median(reached.values())
    ratios = {name: each / middle for name, each in reached.items()}
    worst = max(ratios, key=lambda name: abs(ratios[name] - 1))
    place = work["id"] if len(bearers) > 1 else worst
    return {"rival": place, "value": ratios[place], "met": abs(ratios[place] - 1) <= goal["limit"]}


def judged(report):
    """Only full runs with the goals' number of threads are judged."""
    return not report["quick"] and report["threads"] == GOAL_THREADS


def in_words(goal, work):
    """(what was reached, what is asked), as text."""
    subject = "" if goal["of"] == "tokengate" else f"{label(goal['of'])}: "
    figure = goal.get("figure") or "median"
    subject += "" if figure == "median" else f"{figure} "
    floor = " (floor)" if goal["floor"] else ""
    measure, reached, limit = goal["measure"], goal["value"], goal["limit"]
    if measure == "absolute":
        asked = f"≤ {with_unit(limit, unit(work))}{floor}"
        said = "-" if reached is None else with_unit(reached, unit(work))
    elif measure == "flat":
        asked = f"within ±{limit:.0%}{floor}"
        said = "-" if reached is None else f"{reached:.2f} x the curve's median"
        if reached is not None and goal["rival"] != work["id"]:
            said += f" ({goal['rival']})"
    else:
        sign, relation = ("≥", "x as fast as") if measure == "speed_up" else ("≤", "x")
        asked = f"{sign} {limit:.2f}{floor}"
        rival = label(goal["rival"]) if goal["rival"] else ""
        said = "-" if reached is None else f"{reached:.2f} {relation} {rival}"
    return subject + said, asked


def verdict(goal, is_judged):
    if not is_judged or goal["met"] is None:
        return "-"
    return "yes" if goal["met"] else "NO"


def counts(works):
    """(met, missed) over all works."""
    every = [goal["met"] for work in works for goal in work["goals"]]
    return every.count(True), every.count(False)
