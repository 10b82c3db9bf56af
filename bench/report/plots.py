# SPDX-License-Identifier: Apache-2.0
"""Which plots a run gives. Each is a pair: its caption, and the SVG."""

import statistics

from report import charts, goals
from report.summary import (PERCENTILES, QUANTITIES, curves, fastest, label, percentile, pooled,
                            repeated, unit, value)
from report.svg import power_of_two, short
from report.sweeps import sweep_lines
from report.text import number

COLOURS = {"serial": "serial", "oneTBB": "onetbb", "TokenGate": "tokengate"}
SINGLE = ["c1", "c3", "c4", "c5"]  # for lines of TokenGate; c2 is the colour of oneTBB


def colour(contender):
    return COLOURS.get(contender["family"], "others")


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4)
    return max(low, min(values)), min(high, max(values))


def goal_places(work, name):
    """Where a contender's goals are on the axis of its work."""
    for goal in work["goals"]:
        figure = goal.get("figure", "median")
        if goal["of"] != name or figure not in ("median", "p50"):
            continue
        rival = work["contenders"].get(goal.get("rival"))
        words = "goal: " + goals.in_words(goal, work)[1]
        if goal["measure"] == "absolute":
            yield goal["limit"], words
        elif rival is not None and goal["measure"] == "speed_up":
            yield value(rival, figure) / goal["limit"], words
        elif rival is not None and goal["measure"] == "time_ratio":
            yield value(rival, figure) * goal["limit"], f"{words} x {label(goal['rival'])}"


def work_bars(work):
    rows = []
    for name, each in work["contenders"].items():
        repetitions = repeated(each)
        low, high = quartiles(repetitions)
        rows.append(charts.Bar(label(name), each["value"], repetitions, low, high, colour(each),
                               list(goal_places(work, name))))
    said = "; ".join(f"{row.label} {number(row.value)}" for row in rows)
    name = f"{work['id']}: {work['title']}"
    of = "p50, " if any(each.get("percentiles") and not each.get("figures")
                        for each in work["contenders"].values()) else ""
    return name, charts.bars(name, f"Medians in {unit(work)}: {said}.", of + unit(work), rows)


def is_memory(work):
    return unit(work).lower().startswith(("byte", "b/", "kib", "mib"))


def bar_plots(works):
    """Each work with its contenders; what belongs to a curve is drawn there."""
    return [work_bars(work) for work in works if not work.get("curve") and not is_memory(work)]


def memory_plots(works):
    return [work_bars(work) for work in works if not work.get("curve") and is_memory(work)]


def curve_series(works, of_value):
    """A line for each contender over the points that it has."""
    shapes = {}
    for name in dict.fromkeys(name for work in works for name in work["contenders"]):
        points, family = [], None
        for work in works:
            each = work["contenders"].get(name)
            if each is not None:
                family = each
                low, high = sorted(map(of_value, quartiles(repeated(each))))
                points.append((work["at"], of_value(each["value"]), low, high))
        hue = colour(family)
        shapes[hue] = shapes.get(hue, -1) + 1
        yield charts.Series(label(name), points, hue, shapes[hue] % 4, shapes[hue] > 0)


def span(points):
    return f"{power_of_two(points[0]['at'])} to {power_of_two(points[-1]['at'])}"


def throughput_plots(works):
    """Tokens a second over the size of a wave."""
    for curve, points in curves(works).items():
        if curve != "tokens" or not all(unit(work).startswith("ns/") for work in points):
            continue
        series = list(curve_series(points, lambda ns: 1000 / ns if ns else 0))
        name = "Throughput by wave size"
        said = (f"Million tokens a second for waves of {short(points[0]['at'])} to "
                f"{short(points[-1]['at'])} tokens.")
        yield f"{name}, {span(points)}", charts.lines(
            name, said, series, QUANTITIES[curve], "million tasks a second")


def growth_plots(works):
    """The price of a token over what grows, with the band in which it should stay."""
    for curve, points in curves(works).items():
        quantity = QUANTITIES.get(curve, curve)
        series = list(curve_series(points, lambda each: each))
        band = flat_band(points)
        name = f"Price of an empty task by {quantity}, {span(points)}"
        said = "; ".join(f"{each.name}: " + ", ".join(
            f"{number(point[1])} at {short(point[0])}" for point in each.points)
            for each in series)
        caption = name + (f" (shaded: {band[2]})" if band else "")
        yield caption, charts.lines(name, said, series, quantity, unit(points[0]), "log2", band)


def flat_band(points):
    for work in points:
        for goal in work["goals"]:
            if goal["measure"] == "flat":
                middle = statistics.median(
                    each["contenders"][goal["of"]]["value"] for each in points
                    if goal["of"] in each["contenders"])
                limit = goal["limit"]
                return (middle * (1 - limit), middle * (1 + limit),
                        f"goal, {label(goal['of'])} within ±{limit:.0%} of its median")
    return None


def quantile_points(samples):
    """About two hundred points of a distribution, close together where its end is."""
    ordered = sorted(samples)
    most = 1 - 1 / len(ordered) if len(ordered) > 1 else 0.5
    shares, step = [], 0
    while not shares or shares[-1] < most:
        shares.append(min(1 - 10 ** (-step / 50), most))
        step += 1
    return [(percentile(ordered, share), share) for share in shares]


def latency_plots(works):
    for work in works:
        sampled = {name: each for name, each in work["contenders"].items() if each.get("samples")}
        if not sampled:
            continue
        shapes, series = {}, []
        for name, each in sampled.items():
            hue = colour(each)
            shapes[hue] = shapes.get(hue, -1) + 1
            series.append(charts.Series(label(name), quantile_points(pooled(each)), hue,
                                        shapes[hue] % 4, shapes[hue] > 0))
        said = "; ".join(f"{label(name)}: " + ", ".join(
            f"{key} {number(each['percentiles'][key])}" for key in PERCENTILES)
            for name, each in sampled.items())
        name = f"{work['id']}: {work['title']}"
        yield name, charts.distribution(name, f"Distribution in {unit(work)}. {said}.", series,
                                        unit(work))


def unit_of(sweep):
    return f" ({sweep['unit']})" if sweep.get("unit") else ""


def most_moved(line):
    return max((abs(share - 1) for share in line["relative"] if share is not None), default=0)


def sweep_plots(sweeps):
    for sweep in sweeps.values():
        series = []
        for index, (work_id, points) in enumerate(sweep["works"].items()):
            everyone = list(sweep_lines(sweep, points))
            own = [each for each in everyone if each["family"] == "TokenGate"]
            rivals = [each for each in everyone if each["family"] == "oneTBB"]
            # Where there is none with default settings: who feels the setting most.
            own.sort(key=lambda each: (each["name"] != "tokengate", -most_moved(each)))
            shown = own[0] if own else None
            for line, control in ((shown, False), (rivals[0] if rivals else None, True)):
                if line is None:
                    continue
                drawn = [(value, share) for value, share in zip(sweep["values"], line["relative"])
                         if share is not None]
                if drawn:
                    series.append(charts.Series(f"{work_id} {label(line['name'])}", drawn,
                                                "control" if control else SINGLE[index % len(SINGLE)],
                                                index % 4, control))
        if not series:
            continue
        default = f", default {sweep['default']}" if sweep["default"] else ""
        name = f"{sweep['setting']}{unit_of(sweep)}{default}"
        said = "; ".join(f"{each.name}: " + ", ".join(
            f"{share:.2f} at {word}" for word, share in each.points) for each in series)
        yield name, charts.lines(name, f"Time relative to {sweep['base']}. {said}", series,
                                 f"{sweep['setting']}{unit_of(sweep)}",
                                 f"time, 1 is that at {sweep['base']}"
                                 + (" (default)" if sweep["default"] == sweep["base"] else ""),
                                 "places", None, 1)


def scaling_plots(scaling):
    """How many times as fast as the best oneTBB contender with the fewest threads."""
    if not scaling or len(scaling["threads"]) < 2:
        return
    threads = sorted(scaling["threads"])
    for by_threads in scaling["works"].values():
        first = by_threads[str(threads[0])]
        base_name = fastest(first, "oneTBB") or next(iter(first["contenders"]))
        base = first["contenders"][base_name]["value"]
        shapes, series = {}, []
        for name, each in first["contenders"].items():
            points = [(count, base / by_threads[str(count)]["contenders"][name]["value"])
                      for count in threads if by_threads[str(count)]["contenders"][name]["value"]]
            if each["family"] == "serial" or not points:
                continue
            hue = colour(each)
            shapes[hue] = shapes.get(hue, -1) + 1
            series.append(charts.Series(label(name), points, hue, shapes[hue] % 4, shapes[hue] > 0))
        if not series:
            continue
        name = f"{first['id']} from {threads[0]} to {threads[-1]} threads"
        said = "; ".join(f"{each.name}: " + ", ".join(
            f"{gain:.2f} with {count}" for count, gain in each.points) for each in series)
        yield f"{name}: {first['title']}", charts.lines(
            name, f"Speed relative to {base_name} with {threads[0]}. {said}", series, "threads",
            f"times as fast as {label(base_name)} with {threads[0]}", "linear", None, 1)
