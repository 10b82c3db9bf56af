# SPDX-License-Identifier: Apache-2.0
"""One setting of the runtime over a range of values, so that users see what to tune, and which way.

Each point is a run of its own, since settings are read when a runtime starts; the values take
turns, several passes, so that all of them meet the same changes of the machine."""

import math
import re
from dataclasses import dataclass

from report.forecast import LIMIT_S
from report.measure import Failed, measure, merge
from report.summary import unit
from report.text import number, percent

PASSES = 3


@dataclass(frozen=True)
class Setting:
    name: str
    works: tuple  # on which it is likely to show
    values: tuple
    option: str = ""  # the Meson option, where it has another name
    unit: str = ""

    @property
    def variable(self):
        return f"TOKENGATE_{self.name.upper()}"

    def default(self, build):
        """What was compiled in, as text, or None if the build does not say."""
        compiled = build.get(self.option or self.name)
        return None if compiled is None else str(compiled).lower()


# retry_stride has no work that fails tasks, and scope and first_core have no values that make sense
# on every machine; all of them can be tried with TOKENGATE_* and --compare.
SETTINGS = {each.name: each for each in (
    Setting("mailbox_capacity", ("P1", "P8"), (64, 1024, 4096, 16384, 65536, 262144, 1048576)),
    Setting("in_flight_limit", ("P1", "P8"), (256, 4096, 65536, 262144, 1048576, 16777216)),
    Setting("deque_capacity", ("P3", "P4"), (16, 64, 256, 1024, 4096, 16384)),
    Setting("sticky_slots", ("P1a",), (16, 256, 4096, 65536, 1048576)),
    Setting("workers_per_core", ("P1", "P3", "P6"), (1, 2, 4)),
    Setting("arena_slots", ("P3", "P6"), (-1, 0, 1, 2)),
    Setting("reserve_workers", ("P4", "P5"), (4, 8, 16, 64)),
    Setting("help_depth", ("P4", "P5"), (4, 16, 64, 256)),
    Setting("spin_time", ("P1", "P3", "P7"), (0, 10, 50, 200, 1000), "spin_time_us", "us"),
    Setting("steal", ("P3", "P6"), ("automatic", "strict", "soft"), "stealing"),
    Setting("binding", ("P6", "P12a"), ("true", "false")),
)}


class Wanted:
    """A setting with the values that are to be measured: `spin_time`, or `spin_time=0,20,50`."""

    def __init__(self, word):
        name, given, values = word.partition("=")
        if name not in SETTINGS:
            raise ValueError(f"there is no setting {name} to sweep; there are "
                             f"{', '.join(SETTINGS)} and all")
        self.setting = SETTINGS[name]
        self.values = [each.strip() for each in values.split(",")] if given else []
        if "" in self.values:
            raise ValueError(f"{word}: an empty value")

    @staticmethod
    def all_of(words):
        names = list(SETTINGS) if "all" in words else words
        return [Wanted(name) for name in names]

    def complete(self, build):
        """(values as text, the default or None): the default is always among them."""
        default = self.setting.default(build)
        values = list(dict.fromkeys(self.values or map(str, self.setting.values)))
        if default is not None and default not in values:
            values.append(default)
        if all(re.fullmatch(r"-?\d+", each) for each in values):
            values.sort(key=int)
        return values, default


def schedule(options):
    """(passes, rounds in each) for every value."""
    passes = 1 if options.quick else min(PASSES, options.rounds)
    return passes, math.ceil(options.rounds / passes)


def sweep(binary, wanted, works, build, options):
    """All values of one setting on some works: the sweep, and what is known of the build."""
    setting = wanted.setting
    values, default = wanted.complete(build)
    passes, rounds = schedule(options)
    result = {"setting": setting.name, "variable": setting.variable, "unit": setting.unit,
              "values": values, "default": default,
              "base": default if default in values else values[0],
              "threads": options.threads[0], "rounds": rounds * passes, "works": {}}
    compiled_by = {}
    for work_id in works:
        points = {value: {} for value in values}
        for _ in range(passes):
            for value, point in points.items():
                if "error" in point:
                    continue
                try:
                    work, compiled_by = measure(binary, work_id, result["threads"], rounds,
                                                options.quick, {setting.variable: value}, LIMIT_S)
                    if point:
                        merge(point, work)
                    else:
                        point.update(work)
                except Failed as failure:
                    points[value].clear()
                    points[value]["error"] = str(failure)
        for point in points.values():
            point.pop("goals", None)
        result["works"][work_id] = points
    return result, compiled_by


def sweep_lines(sweep, points):
    """Each contender of a work over the values of a setting: what was measured, and relative to
    the base. oneTBB's contenders do not know the setting: they show how much the machine changed
    meanwhile."""
    known = [points[each] for each in sweep["values"] if "error" not in points[each]]
    if not known:
        return
    base = points[sweep["base"]]
    for name, contender in known[0]["contenders"].items():
        if contender["family"] not in ("oneTBB", "TokenGate"):
            continue
        cells, relative = [], []
        for each in sweep["values"]:
            if "error" in points[each]:
                cells.append("failed")
                relative.append(None)
                continue
            value = points[each]["contenders"][name]["value"]
            usual = base["contenders"][name]["value"] if "error" not in base else None
            share = value / usual if usual else None
            relative.append(share)
            change = "" if share is None or each == sweep["base"] else f" {percent(share - 1)}"
            cells.append(number(value) + change)
        yield {"name": name, "family": contender["family"], "unit": unit(known[0]),
               "cells": cells, "relative": relative}
