#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Whether goals are judged as they are meant, and shown so."""

import contextlib
import io
import unittest

import sample
from report import files, goals, table


def single(kind="clock", goal=None, unit="ns/task", **values):
    work = sample.Maker(seed=3, noise=0).work("P1", values, unit=unit, kind=kind, goals=[goal])
    goals.judge_all({"P1": work})
    return work["goals"][0]


class Judging(unittest.TestCase):
    def test_a_ratio_is_to_the_fastest_rival(self):
        found = single(goal=sample.goal("tokengate", ["enqueue", "task_group"], 0.5),
                       task_group=100, enqueue=200, tokengate=60)
        self.assertEqual((found["rival"], found["met"]), ("task_group", False))
        self.assertAlmostEqual(found["value"], 0.6)

    def test_a_speed_up_is_the_rivals_time_over_its_own(self):
        asked = sample.goal("tokengate", ["serial"], 1.95, "speed_up")
        self.assertTrue(single(goal=asked, serial=100, tokengate=51)["met"])
        self.assertFalse(single(goal=asked, serial=100, tokengate=52)["met"])

    def test_an_absolute_goal_has_no_rival(self):
        asked = sample.goal("tokengate", [], 160.0, "absolute")
        for value, met in ((160, True), (160.1, False)):
            found = single("figure", asked, "bytes/task", task_group=1, tokengate=value)
            self.assertEqual((found["met"], found["rival"]), (met, None))

    def test_percentiles_are_of_the_samples(self):
        asked = sample.goal("tokengate", ["enqueue"], 1.0, figure="p99")
        found = single("samples", asked, "us", enqueue=1.2, tokengate=1.0)
        self.assertTrue(found["met"])
        self.assertIsNone(single(goal=asked, enqueue=1.2, tokengate=1.0)["met"],
                          "without samples nothing is judged")

    def test_a_point_of_a_flat_curve_is_judged_by_the_curves_median(self):
        works = sample.run()["works"]
        met = {name: works[name]["goals"][0]["met"] for name in
               ("P11a", "P11b", "P11c", "P11d", "P11e", "P11f", "P11g")}
        self.assertEqual([name for name, each in met.items() if not each], ["P11g"])

    def test_one_flat_goal_stands_for_its_curve(self):
        works = sample.run()["works"]
        for name in ("P11f", "P11g"):
            works[name]["goals"] = []
        goals.judge_all(works)
        found = works["P11e"]["goals"][0]
        self.assertEqual((found["rival"], found["met"]), ("P11g", False))

    def test_two_points_are_no_curve(self):
        works = {name: each for name, each in sample.run()["works"].items()
                 if name in ("P11e", "P11f")}
        goals.judge_all(works)
        self.assertIsNone(works["P11e"]["goals"][0]["met"])

    def test_only_full_runs_with_the_goals_threads_count(self):
        report = sample.run()
        self.assertTrue(goals.judged(report))
        self.assertFalse(goals.judged({**report, "quick": True}))
        self.assertFalse(goals.judged({**report, "threads": 4}))


def printed(report):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        table.print_report(report)
    return text.getvalue()


class Table(unittest.TestCase):
    def test_units_percentiles_and_goals_are_shown(self):
        text = printed(sample.run())
        for wanted in ("raw oneTBB", "serial, others", "openmp 5", "\nus  ", "p50 1.",
                       "≤ 160.0 bytes/token", "within ±15%", "x the curve's median", "NO", "yes",
                       "p99 ", "12 goals met, 2 missed", "spin_time", "not done after 300 seconds"):
            self.assertIn(wanted, text)

    def test_columns_are_there_only_if_something_is_in_them(self):
        report = sample.run()
        del report["works"]["P1"]["contenders"]["openmp"]
        head = next(line for line in printed(report).splitlines() if line.startswith("work "))
        self.assertIn("serial, others", head)
        del report["works"]["P6"]
        head = next(line for line in printed(report).splitlines() if line.startswith("work "))
        self.assertNotIn("others", head)
        self.assertEqual(table.columns_of([report["works"]["P10"]]), ["raw oneTBB", "TokenGate"])

    def test_disturbed_times_are_called_so(self):
        report = sample.run()
        self.assertNotIn("do not trust", printed(report))
        report["works"]["P6"]["machine_share"] = {"others": 0.2, "steal": 0.01}
        self.assertIn("P6: other programs used 20%", printed(report))

    def test_files_of_format_1_are_still_shown(self):
        report = sample.format_1()
        for work in report["works"].values():
            for each in work["contenders"].values():
                files.summarise(each)
        goals.judge_all(report["works"])
        self.assertIn("0.45 x task_group", printed(report))


if __name__ == "__main__":
    unittest.main()
