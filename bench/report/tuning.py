# SPDX-License-Identifier: Apache-2.0
"""What growth and settings do, in two small tables that can be quoted: Markdown, with figures of this
run only. Nothing within the noise counts as a difference."""

import statistics

from report.summary import QUANTITIES, curves, fastest, label, unit
from report.svg import power_of_two
from report.sweeps import sweep_lines
from report.text import number, percent

LEAST = 0.03  # a smaller change is noise, whatever the others did
CURVE_HEAD = ("what grows", "from", "to", "medium, least and most",
              "furthest from its median", "fastest oneTBB, least and most")
SETTING_HEAD = ("setting", "default", "where", "fastest value", "slowest value", "noise")


def least_and_most(values, of_unit):
    return f"{number(min(values))} to {number(max(values))} {of_unit}"


def curve_rows(works):
    for curve, points in curves(works).items():
        known = [each for each in points if "tokengate" in each["contenders"]]
        if not known:
            continue
        prices = [each["contenders"]["tokengate"]["value"] for each in known]
        middle = statistics.median(prices)
        step, place = max(((price / middle - 1, each["at"]) for price, each in zip(prices, known)),
                          key=lambda pair: abs(pair[0])) if middle else (0, known[0]["at"])
        rivals = [each["contenders"][name]["value"] for each in known
                  for name in [fastest(each, "oneTBB")] if name]
        yield (QUANTITIES.get(curve, curve), power_of_two(known[0]["at"]),
               power_of_two(known[-1]["at"]), least_and_most(prices, unit(known[0])),
               f"{percent(step)} at {power_of_two(place)}",
               least_and_most(rivals, unit(known[0])) if rivals else "-")


def noise(lines, points):
    """What must be exceeded: how far oneTBB, which does not know the setting, moved, and twice the
    spread of the repetitions."""
    moved = [abs(share - 1) for line in lines if line["family"] == "oneTBB"
             for share in line["relative"] if share is not None]
    spread = [2 * each["spread"] for point in points.values() if "error" not in point
              for each in point["contenders"].values() if each["family"] == "TokenGate"]
    return max([LEAST, *moved, *sorted(spread)[len(spread) // 2:][:1]])


def setting_rows(sweep):
    """One row for each contender that a value makes faster or slower beyond noise, and one for all
    works where none does."""
    same, loudest = [], 0.0
    for work_id, points in sweep["works"].items():
        lines = list(sweep_lines(sweep, points))
        limit = noise(lines, points)
        failed = [value for value, point in points.items() if "error" in point]
        differs = False
        for line in lines:
            shares = [(share, value) for share, value in zip(line["relative"], sweep["values"])
                      if share is not None]
            if line["family"] != "TokenGate" or not shares:
                continue
            best, worst = min(shares), max(shares)
            if best[0] > 1 - limit and worst[0] < 1 + limit:
                continue
            differs = True
            yield (sweep["setting"], sweep["default"] or "-", f"{work_id} {label(line['name'])}",
                   shown(best, limit, "default"), shown(worst, limit, "default"), f"±{limit:.0%}")
        if failed:
            yield (sweep["setting"], sweep["default"] or "-", work_id, "", "",
                   f"failed: {', '.join(failed)}")
        elif not differs:
            same.append(work_id)
            loudest = max(loudest, limit)
    if same:
        yield (sweep["setting"], sweep["default"] or "-", ", ".join(same),
               f"none beyond noise from {sweep['values'][0]} to {sweep['values'][-1]}", "-",
               f"±{loudest:.0%}")


def shown(pair, limit, otherwise):
    share, value = pair
    return f"{value}: {percent(share - 1)}" if abs(share - 1) >= limit else otherwise


def tables(report):
    """[(what it is, head, rows)] of what the run has figures for; nothing of a quick run, whose
    times are too short to quote."""
    found = []
    if report["quick"]:
        return found
    rows = list(curve_rows(report["works"].values()))
    if rows:
        found.append(("growth: the price of a task while something grows", CURVE_HEAD, rows))
    rows = [row for sweep in report.get("sweeps", {}).values() for row in setting_rows(sweep)]
    if rows:
        found.append(("settings: time next to that with the default", SETTING_HEAD, rows))
    return found


def markdown(head, rows):
    """Lines of a table that reads well as plain text, too."""
    cells = [tuple(str(cell).replace("|", "/") for cell in row) for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]

    def line(row):
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"

    yield line(cells[0])
    yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    yield from map(line, cells[1:])


def print_tuning(report):
    for title, head, rows in tables(report):
        print(f"\n{title}\n")
        for each in markdown(head, rows):
            print(each)
