#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""bench/run from outside, on a stand-in for the binary: what it writes, and its exit status."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUN = HERE.parents[1] / "bench/run"


class CommandLine(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build = Path(folder.name)
        (self.build / "bench").mkdir()
        (self.build / "meson-info").mkdir()
        shutil.copy(HERE / "stand_in.py", self.build / "bench/tokengate-bench")
        options = [{"name": name, "value": value, "section": "user"} for name, value in
                   (("buildtype", "release"), ("spin_time_us", 50), ("workers_per_core", 1))]
        (self.build / "meson-info/intro-buildoptions.json").write_text(json.dumps(options))

    def bench(self, *words, status=0, **environment):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("TOKENGATE_")}
        done = subprocess.run([RUN, self.build, *map(str, words)], capture_output=True, text=True,
                              env={**clean, **environment}, timeout=300)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def kept(self, name):
        return json.loads((self.build / "bench" / name).read_text())

    def test_a_run_is_shown_and_kept(self):
        text = self.bench()
        self.assertIn("1 goals met, 1 missed", text)
        report = self.kept("latest.json")
        self.assertEqual(set(report["works"]), {"P1", "P3"})
        self.assertEqual(report["format"], 2)
        self.assertEqual(report["compiler"], "stand-in 1.0")
        self.assertEqual(len(report["works"]["P1"]["contenders"]["tokengate"]["repetitions"]), 9)
        self.assertIn("<svg", (self.build / "bench/latest.html").read_text())

    def test_files_go_where_the_user_says(self):
        self.bench("P1", "--quick", "--json", self.build / "a.json",
                   "--html", self.build / "b.html")
        self.assertTrue((self.build / "b.html").exists())
        self.assertEqual(set(json.loads((self.build / "a.json").read_text())["works"]), {"P1"})
        self.assertFalse((self.build / "bench/latest.json").exists())
        lines = (self.build / "a.json").read_text().splitlines()
        self.assertTrue([line for line in lines if '"repetitions": [' in line and "]" in line],
                        "the numbers of a list share a line")

    def test_strict_fails_where_a_goal_is_missed(self):
        self.bench("--strict", "P1")
        self.bench("--strict", "P3", status=1)
        self.bench("--strict", "--quick", status=2)
        self.bench("--strict", "--threads", "4", status=2)

    def test_a_wrong_result_is_an_error(self):
        text = self.bench("P1", "P3", status=1, BENCH_STAND_IN_WRONG="P3")
        self.assertIn("wrong result: P3 tokengate: 9 instead of 10", text)

    def test_mistakes_in_usage_are_told(self):
        for words in (["P99"], ["--sweep", "nonsense"], ["--threads", "0"], ["--threads", "1,x"],
                      ["--sweep", "spin_time="], ["--sweep", "spin_time=1,,2"],
                      ["--sweep", "spin_time", "--threads", "1,2"], ["--compare", "P1"],
                      ["--show", "P1"]):
            self.bench(*words, status=2)

    def test_a_slower_runtime_is_found(self):
        self.bench("P1", "--json", self.build / "old.json")
        text = self.bench("--compare", self.build / "old.json", "--strict",
                          status=1, BENCH_STAND_IN_FACTOR="1.2")
        self.assertIn("1 slower", text)
        self.assertIn("+20 %", text)
        self.assertEqual(set(self.kept("latest.json")["works"]), {"P1"}, "the works of the old run")
        self.assertIn('id="changes"', (self.build / "bench/latest.html").read_text())
        both = [self.build / "old.json", self.build / "bench/latest.json"]
        self.assertIn("slower", self.bench("--compare", *both))
        self.bench("--compare", *both, "--strict", status=1)
        self.bench("--compare", *reversed(both), "--strict")
        self.bench("--compare", both[0], both[0], "--strict")

    def test_a_file_that_is_none_is_told(self):
        wrong = self.build / "wrong.json"
        for text in ("{", "[]", '{"format": 99, "works": {}}'):
            wrong.write_text(text)
            self.assertIn("wrong.json", self.bench("--show", wrong, status=1))

    def test_a_sweep_shows_what_a_setting_does(self):
        text = self.bench("P1", "--sweep", "spin_time=0,50,200,never")
        self.assertIn("relative to 50", text)
        sweep = self.kept("sweep.json")["sweeps"]["spin_time"]
        points = sweep["works"]["P1"]
        self.assertEqual(list(points), ["0", "50", "200", "never"])
        self.assertEqual(len(points["0"]["contenders"]["tokengate"]["repetitions"]), 6)
        self.assertAlmostEqual(points["0"]["contenders"]["tokengate"]["value"]
                               / points["50"]["contenders"]["tokengate"]["value"], 2, delta=0.05)
        self.assertIn("status 1", points["never"]["error"])
        self.assertIn('id="sweeps"', (self.build / "bench/sweep.html").read_text())

    def test_the_default_is_always_swept(self):
        self.bench("P1", "--sweep", "spin_time=10,200")
        sweep = self.kept("sweep.json")["sweeps"]["spin_time"]
        self.assertEqual((sweep["values"], sweep["base"]), (["10", "50", "200"], "50"))

    def test_what_a_work_sets_itself_is_not_swept(self):
        text = self.bench("P1", "--sweep", "workers_per_core")
        self.assertIn("P1 sets workers_per_core itself", text)
        self.assertEqual(self.kept("sweep.json")["sweeps"], {})

    def test_the_time_is_told_beforehand(self):
        text = self.bench("P1", "--sweep", "spin_time=0,50")
        # 2 values, 3 passes, 2 rounds and one to warm up, each of 10^8 tasks at 50 and at 20 ns.
        self.assertIn("1 setting, 2 points, 2 minutes: about 2 minutes in all", text)

    def test_tuning_measures_curves_and_settings(self):
        text = self.bench("--tuning", "--rounds", "3", BENCH_STAND_IN_CURVES="1")
        self.assertIn("3 points of growth curves", text)
        self.assertRegex(text, r"\| tokens in one wave *\| 2\^10 *\| 2\^24 *\|")
        self.assertRegex(text, r"\| spin_time *\| 50 *\| P1 medium *\| default *\| 0: \+")
        report = self.kept("tuning.json")
        self.assertEqual(set(report["works"]), {"P11a", "P11b", "P11c"})
        self.assertIn("spin_time", report["sweeps"])
        self.assertIn('id="tuning"', (self.build / "bench/tuning.html").read_text())
        text = self.bench("--tuning", "--quick", BENCH_STAND_IN_CURVES="1")
        self.assertNotIn("| spin_time", text, "quick times are nothing to quote")
        self.assertRegex(text, r"about \d+ s in all")
        for words in (["--tuning", "P1"], ["--tuning", "--sweep", "spin_time"],
                      ["--tuning", "--threads", "1,2"], ["--tuning", "--compare", "a.json"]):
            self.bench(*words, status=2)

    def test_several_numbers_of_threads_show_scaling(self):
        text = self.bench("P1", "--threads", "1,2,4")
        self.assertIn("(4.0", text)
        report = self.kept("scaling.json")
        self.assertEqual(report["threads"], 2, "that is what the goals speak of")
        self.assertEqual(set(report["scaling"]["works"]["P1"]), {"1", "2", "4"})
        self.assertIn('id="scaling"', (self.build / "bench/scaling.html").read_text())

    def test_runs_can_be_taken_together(self):
        self.bench("P1")
        self.bench("P3", "--json", self.build / "p3.json")
        self.bench("P1", "--sweep", "spin_time=0,50", "--rounds", "2")
        self.bench("P1", "--threads", "1,2")
        html = self.build / "all.html"
        self.bench("--show", self.build / "bench/sweep.json", self.build / "bench/scaling.json",
                   self.build / "bench/latest.json", self.build / "p3.json", "--html", html)
        text = html.read_text()
        for place in ("works", "bars", "scaling", "sweeps"):
            self.assertIn(f'id="{place}"', text)
        self.assertIn("stand-in for P3", text)

    def test_nothing_is_left_in_the_source_tree(self):
        self.bench("P1", "--quick")
        self.assertEqual(list(RUN.parent.rglob("__pycache__")), [])


if __name__ == "__main__":
    unittest.main()
