# SPDX-License-Identifier: Apache-2.0
"""The kinds of plots: bars with their spread, lines over a growing quantity, distributions."""

import math
from dataclasses import dataclass, field
from html import escape

from report.svg import Canvas, Linear, Logarithmic, Nines, Places, element, power_of_two, short
from report.text import number

WIDTH = 560
CHARACTER, BOLD = 6.9, 7.8  # width of one at the size of the labels, in a wide font
ROOM = 1.6  # the axis of bars ends here, in longest bars; what is beyond is drawn at its end


@dataclass
class Bar:
    label: str
    value: float
    repetitions: list
    low: float  # the quartiles
    high: float
    colour: str
    goals: list = field(default_factory=list)  # (value, in words)


@dataclass
class Series:
    name: str
    points: list  # (x, y) or (x, y, low, high)
    colour: str
    shape: int = 0
    dashed: bool = False


def bars(title, description, unit, rows):
    """Lying bars from zero; a line over the middle half of the repetitions, which are dots."""
    left = max(len(row.label) for row in rows) * CHARACTER + 12
    right, top, pitch = 66, 8, 27
    bottom = top + pitch * len(rows)
    canvas = Canvas(WIDTH, bottom + 38, title, description)
    longest = max(max(row.value, row.high) for row in rows)
    reach = max([longest, *(goal for row in rows for goal, _ in row.goals if goal < longest * ROOM),
                 *(each for row in rows for each in row.repetitions if each < longest * ROOM)])
    x = Linear(0, reach * 1.02, left, WIDTH - right)
    for tick in x.ticks():
        canvas.line(x(tick), top, x(tick), bottom, "grid")
        canvas.text(x(tick), bottom + 14, short(tick), "tick", "middle")
    canvas.text((left + WIDTH - right) / 2, bottom + 31, unit, "axis", "middle")
    for index, row in enumerate(rows):
        middle = top + pitch * (index + 0.5)
        canvas.text(left - 8, middle + 4, row.label, "label", "end")
        note = (f"{row.label}: {number(row.value)} {unit}; half of all repetitions from "
                f"{number(row.low)} to {number(row.high)}")
        canvas.rect(left, middle - 8, x(row.value) - left, 16, f"bar {row.colour}",
                    element("title", escape(note)), rx=2)
        for each in row.repetitions:
            end = max(0, min(each, x.high))
            canvas.mark(0 if each <= x.high else 3, x(end), middle, "repetition", number(each), 2.2)
        if row.high > row.low:
            canvas.line(x(row.low), middle, x(min(row.high, x.high)), middle, "whisker")
            for end in (row.low, min(row.high, x.high)):
                canvas.line(x(end), middle - 4, x(end), middle + 4, "whisker")
        for goal, words in row.goals:
            if goal <= x.high:
                canvas.line(x(goal), middle - 12, x(goal), middle + 12, "goal",
                            element("title", escape(words)))
        canvas.text(WIDTH - 4, middle + 4, number(row.value), "value", "end")
    canvas.line(left, top, left, bottom, "edge")
    return canvas.render()


def spread_labels(wanted, gap, low, high):
    """Heights close to the wanted ones, at least `gap` apart and inside the plot."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    given = {}
    edge = low - gap
    for i in order:
        edge = max(wanted[i], edge + gap)
        given[i] = edge
    edge = high + gap
    for i in reversed(order):
        edge = given[i] = min(given[i], edge - gap)
    return [given[i] for i in range(len(wanted))]


def axes(canvas, x, y, box, x_name, y_name, x_text=short, y_text=short):
    left, top, right, bottom = box
    for tick in y.ticks():
        canvas.line(left, y(tick), right, y(tick), "grid")
        canvas.text(left - 6, y(tick) + 4, y_text(tick), "tick", "end")
    ticks = x.ticks()
    crowded = max(1, math.ceil(max(len(x_text(each)) for each in ticks) * CHARACTER * len(ticks)
                               / max(right - left, 1)))
    for tick in ticks[::crowded]:
        canvas.line(x(tick), bottom, x(tick), bottom + 4, "edge")
        canvas.text(x(tick), bottom + 17, x_text(tick), "tick", "middle")
    canvas.line(left, bottom, right, bottom, "edge")
    canvas.text((left + right) / 2, bottom + 35, x_name, "axis", "middle")
    canvas.text(4, top - 9, y_name, "axis")


def lines(title, description, series, x_name, y_name, x_kind="log2", band=None, level=None,
          y_text=short):
    """Series over one quantity, named at their right ends.

    @param x_kind  "log2", "linear" or "places" (x values are words then)
    @param band  (low, high, in words): where y should be
    @param level  a y value that everything is compared with"""
    name_room = max(len(each.name) for each in series) * BOLD + 16
    box = left, top, right, bottom = 52, 28, WIDTH - name_room, 268
    canvas = Canvas(WIDTH, bottom + 42, title, description)
    every = [point for each in series for point in each.points]
    high = max(max(point[1:]) for point in every)
    high = max([high, *(band or (0, 0))[1:2], level or 0])
    y = Linear(0, high * 1.05 or 1, bottom, top)
    values = list(dict.fromkeys(point[0] for point in every))
    if x_kind == "places":
        x = Places(values, left, right)
    elif x_kind == "linear":
        x = Linear(min(values), max(values), left + 10, right - 10)
        x.ticks = lambda: sorted(values)
    else:
        x = Logarithmic(min(values), max(values), left + 10, right - 10, 2)
    if band:
        canvas.rect(left, y(band[1]), right - left, y(band[0]) - y(band[1]), "band",
                    element("title", escape(band[2])))
    axes(canvas, x, y, box, x_name, y_name, power_of_two if x_kind == "log2" else short, y_text)
    if level is not None:
        canvas.line(left, y(level), right, y(level), "level")
    ends = spread_labels([y(each.points[-1][1]) for each in series], 14, top, bottom)
    for each, height in zip(series, ends):
        dashed = " dashed" if each.dashed else ""
        for point in each.points:
            if len(point) == 4 and point[3] > point[2]:
                canvas.line(x(point[0]), y(point[2]), x(point[0]), y(point[3]),
                            f"error {each.colour}")
        canvas.path([(x(point[0]), y(point[1])) for point in each.points],
                    f"line {each.colour}{dashed}")
        for point in each.points:
            canvas.mark(each.shape, x(point[0]), y(point[1]), f"dot {each.colour}",
                        f"{each.name}, {point[0]}: {number(point[1])}")
        last = each.points[-1]
        canvas.line(x(last[0]) + 5, y(last[1]), right + 8, height, f"leader {each.colour}")
        canvas.text(right + 11, height + 4, each.name, f"name {each.colour}")
    return canvas.render()


def distribution(title, description, series, unit):
    """What share of all samples is at most so large. Each further nine has the same room, so that
    the slowest of a thousand can be seen; points are (value, share), ascending."""
    name_room = max(len(each.name) for each in series) * BOLD + 30
    box = left, top, right, bottom = 60, 28, WIDTH - name_room, 288
    canvas = Canvas(WIDTH, bottom + 42, title, description)
    values = [value for each in series for value, _ in each.points if value > 0]
    x = Logarithmic(min(values), max(values), left, right)
    y = Nines(max(share for each in series for _, share in each.points if share < 1), bottom, top)
    for tick in x.ticks():
        canvas.line(x(tick), top, x(tick), bottom, "grid")
    axes(canvas, x, y, box, unit, "share that is at most as large", short,
         lambda share: f"{share * 100:.6g} %")
    for index, each in enumerate(series):
        dashed = " dashed" if each.dashed else ""
        points = [(x(max(value, x.low)), y(share)) for value, share in each.points]
        canvas.path(points, f"line {each.colour}{dashed}")
        for share in (0.5, 0.9, 0.99, 0.999):
            value = next((value for value, at in each.points if at >= share), None)
            if value is not None and share <= y.most:
                canvas.mark(each.shape, x(max(value, x.low)), y(share), f"dot {each.colour}",
                            f"{each.name}: {share * 100:.4g} % at most {number(value)} {unit}")
        height = top + 10 + 17 * index
        canvas.path([(right + 8, height), (right + 20, height)], f"line {each.colour}{dashed}")
        canvas.mark(each.shape, right + 14, height, f"dot {each.colour}")
        canvas.text(right + 26, height + 4, each.name, f"name {each.colour}")
    return canvas.render()
