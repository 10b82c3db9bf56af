# SPDX-License-Identifier: Apache-2.0
"""A run as ./dev bench keeps it, made up: every kind of figure, each goal, seeded noise.

Its figures were measured nowhere."""

import copy
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from report import goals  # noqa: E402
from report.summary import summarise  # noqa: E402

FAMILIES = {"serial": "serial", "task_group": "oneTBB", "enqueue": "oneTBB", "openmp": "others",
            "tokengate": "TokenGate", "heavy": "TokenGate"}


def goal(of, against, limit, measure="time_ratio", figure="median"):
    return {"of": of, "against": against, "limit": limit, "measure": measure, "figure": figure,
            "floor": False}


class Maker:
    def __init__(self, seed, rounds=9, noise=0.01):
        self.random = random.Random(seed)
        self.rounds, self.noise = rounds, noise

    def around(self, value):
        return [value * self.random.gauss(1, self.noise) for _ in range(self.rounds)]

    def work(self, work_id, values, unit="ns/task", kind="clock", curve="", at=0.0, goals=(),
             threads=2):
        contenders = {}
        for name, value in values.items():
            each = {"family": FAMILIES[name], "repetitions": self.around(value),
                    "cpu_repetitions": self.around(value * 2), "warm_up": value * 1.5}
            if kind == "figure":
                each["figures"] = self.around(value)
            if kind == "samples":
                each["samples"] = [[value * self.random.lognormvariate(0, 0.4) for _ in range(400)]
                                   for _ in range(self.rounds)]
            summarise(each)
            contenders[name] = each
        return {"id": work_id, "title": f"made up <work> {work_id} & others", "tasks": 1000,
                "threads": threads, "rounds": self.rounds, "unit": unit, "curve": curve, "at": at,
                "contenders": contenders, "goals": list(goals),
                "machine_share": {"others": 0.01, "steal": 0.0}}

    def sweep(self):
        usual = {"task_group": 100, "tokengate": 50}
        points = {value: self.work("P1", {**usual, "tokengate": 50 * factor})
                  for value, factor in (("0", 1.3), ("50", 1), ("200", 0.95))}
        points["1000"] = {"error": "P1 TOKENGATE_SPIN_TIME=1000: not done after 300 seconds"}
        return {"setting": "spin_time", "variable": "TOKENGATE_SPIN_TIME",
                "values": ["0", "50", "200", "1000"], "default": "50", "base": "50", "threads": 2,
                "rounds": self.rounds, "works": {"P1": points}}


def run(seed=1, slower=None, rounds=9, noise=0.01, machine=1.0):
    """@param slower  {work: factor} for the contender tokengate of that work
    @param machine  a factor for all times, as on a slower machine"""
    slower = slower or {}
    maker = Maker(seed, rounds, noise)

    def add(work_id, values, **more):
        values = {name: value * machine for name, value in values.items()}
        values["tokengate"] *= slower.get(work_id, 1)
        works[work_id] = maker.work(work_id, values, **more)

    works = {}
    add("P1", {"task_group": 100, "enqueue": 190, "openmp": 56, "tokengate": 45, "heavy": 60},
        goals=[goal("tokengate", ["task_group"], 0.5), goal("heavy", ["task_group"], 0.5)])
    add("P6", {"serial": 8600, "task_group": 4600, "tokengate": 4350},
        goals=[goal("tokengate", ["serial"], 1.95, "speed_up")])
    add("P7", {"enqueue": 1.2, "tokengate": 1.0}, unit="us", kind="samples",
        goals=[goal("tokengate", ["enqueue"], 1.0, figure="p50"),
               goal("tokengate", ["enqueue"], 1.0, figure="p99"),
               goal("tokengate", [], 10.0, "absolute", "p99")])
    add("P10", {"task_group": 128, "tokengate": 140}, unit="bytes/token", kind="figure",
        goals=[goal("tokengate", [], 160.0, "absolute")])
    for letter, exponent in zip("abcd", (10, 14, 18, 22)):
        add(f"P11{letter}", {"task_group": 100 + exponent, "tokengate": 50}, curve="tokens",
            at=float(2 ** exponent), goals=[goal("tokengate", [], 0.15, "flat")])
    for letter, (count, price) in zip("efg", ((2, 50), (16, 52), (64, 80))):
        add(f"P11{letter}", {"tokengate": price}, curve="domains", at=float(count),
            goals=[goal("tokengate", [], 0.15, "flat")])
    for letter, count in zip("hij", (1, 4, 16)):
        add(f"P11{letter}", {"enqueue": 190 + count, "tokengate": 60}, curve="submitters",
            at=float(count))
    goals.judge_all(works)
    scaling = {str(threads): maker.work("P1", {"task_group": 100 / threads ** 0.8,
                                               "tokengate": 50 / threads ** 0.9}, threads=threads)
               for threads in (1, 2, 4)}
    return {"format": 2, "date": "2026-01-01T00:00:00+00:00", "revision": "0123456789ab",
            "machine": {"cpu": "Made-Up <CPU>", "cpus": 2, "virtual": True,
                        "memory_bytes": 2 ** 34, "system": "Linux 6.1 x86_64"},
            "build": {"buildtype": "release", "b_lto": False}, "environment": {}, "quick": False,
            "threads": 2, "rounds": rounds, "compiler": "g++ 12.2.0", "onetbb": "2021.8",
            "works": works, "sweeps": {"spin_time": maker.sweep()},
            "scaling": {"threads": [1, 2, 4], "works": {"P1": scaling}}}


def format_1():
    """As the first version kept it: no units, figures, samples, curves."""
    report = copy.deepcopy(run())
    report["works"] = {key: report["works"][key] for key in ("P1", "P6")}
    for key in ("sweeps", "scaling"):
        del report[key]
    report["format"] = 1
    for work in report["works"].values():
        for key in ("unit", "curve", "at"):
            del work[key]
        for each in work["goals"]:
            del each["figure"]
        for each in work["contenders"].values():
            del each["value"]
    return report
