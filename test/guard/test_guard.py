#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""That bench/guard/count flags what it must, and nothing else. Run by Meson with counts that are
made up: it needs neither valgrind nor a build."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
GUARD = Path(os.environ.get("GUARD", Path(__file__).resolve().parents[2] / "bench/guard"))
sys.path.insert(0, str(GUARD))
import callgrind  # noqa: E402

KEY = {"compiler": "g++ 12.2.0", "architecture": "x86_64", "onetbb": "2021.8", "optimization": "3"}
COUNTS = {"tokens": {"submit": 600.0, "run": 400.0}, "chains": {"chain": 900.0}}


class Guard(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.counts = Path(scratch.name) / "counts.json"
        self.baseline = Path(scratch.name) / "baseline.json"

    def count(self, counts, *words, key=None):
        self.counts.write_text(json.dumps({"format": 1, "key": key or KEY, "counts": counts}))
        return subprocess.run(
            [GUARD / "count", "--counts", self.counts, "--baseline", self.baseline, *words],
            capture_output=True, text=True)

    def record(self, counts, why="first counts", key=None):
        ran = self.count(counts, "--record", "--why", why, key=key)
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def changed(self, **stretches):
        return {work: {name: stretches.get(name, value) for name, value in each.items()}
                for work, each in COUNTS.items()}

    def test_the_same_counts_pass(self):
        self.record(COUNTS)
        ran = self.count(COUNTS)
        self.assertEqual(ran.returncode, 0, ran.stdout)
        self.assertIn("no drift", ran.stdout)

    def test_up_to_two_per_cent_pass_and_a_little_more_fails(self):
        self.record(COUNTS)
        for now, status in ((611.9, 0), (588.1, 0), (612.1, 1), (587.9, 1)):
            ran = self.count(self.changed(submit=now))
            self.assertEqual(ran.returncode, status, f"{now}: {ran.stdout}")

    def test_a_drift_names_the_figure_and_says_what_to_do(self):
        self.record(COUNTS, why="the first of all")
        ran = self.count(self.changed(submit=630.0))
        self.assertEqual(ran.returncode, 1)
        marked = [line for line in ran.stdout.splitlines() if line.endswith("too far")]
        self.assertEqual([line.split()[:4] for line in marked],
                         [["submit", "600.0", "630.0", "+5.00%"]])
        for said in ("the first of all", "--profile --work tokens", "--record --why"):
            self.assertIn(said, ran.stdout)
        self.assertNotIn("--work chains", ran.stdout)

    def test_small_drifts_add_up(self):
        self.record(COUNTS)
        self.assertEqual(self.count(self.changed(run=406.0)).returncode, 0)
        self.assertEqual(self.count(self.changed(run=410.0)).returncode, 1)

    def test_a_record_explains_a_drift_and_keeps_what_was_before(self):
        self.record(COUNTS)
        self.record(self.changed(submit=630.0), why="labels cost five per cent")
        self.assertEqual(self.count(self.changed(submit=630.0)).returncode, 0)
        self.assertEqual(self.count(COUNTS).returncode, 1)
        (entry,) = json.loads(self.baseline.read_text())["entries"]
        self.assertEqual([each["why"] for each in entry["history"]],
                         ["first counts", "labels cost five per cent"])
        self.assertEqual([each["counts"]["submit"] for each in entry["history"]], [600.0, 630.0])
        for each in entry["history"]:
            self.assertRegex(each["date"], r"^\d{4}-\d\d-\d\d$")
            self.assertTrue(each["revision"])

    def test_a_record_needs_a_reason(self):
        for words in (["--record"], ["--record", "--why", " "]):
            self.assertEqual(self.count(COUNTS, *words).returncode, 2)
        self.assertFalse(self.baseline.exists())

    def test_without_a_baseline_for_the_compiler_it_says_so_and_passes(self):
        self.record(COUNTS)
        for other in (KEY | {"compiler": "g++ 13.1.0"}, KEY | {"optimization": "2"}):
            ran = self.count(self.changed(submit=6000.0), key=other)
            self.assertEqual(ran.returncode, 0, ran.stdout)
            self.assertIn("no baseline", ran.stdout)
            self.assertIn("--record --why", ran.stdout)

    def test_a_record_for_one_compiler_leaves_others_alone(self):
        self.record(COUNTS)
        self.record(self.changed(submit=300.0), key=KEY | {"compiler": "clang++ 14.0.6"})
        self.assertEqual(self.count(COUNTS).returncode, 0)

    def test_a_figure_that_is_new_or_gone_needs_a_record_too(self):
        self.record(COUNTS)
        self.assertEqual(self.count({"tokens": COUNTS["tokens"]}).returncode, 1)
        more = COUNTS | {"stealing": {"steal": 500.0}}
        self.assertEqual(self.count(more).returncode, 1)
        self.record(more, why="steal is new")
        self.assertEqual(self.count(more).returncode, 0)

    def test_some_works_are_judged_by_their_own_figures(self):
        self.record(COUNTS)
        ran = self.count(COUNTS, "--work", "chains")
        self.assertEqual(ran.returncode, 0, ran.stdout)
        self.assertNotIn("submit", ran.stdout)
        ran = self.count(self.changed(chain=990.0), "--work", "chains")
        self.assertEqual(ran.returncode, 1, ran.stdout)
        ran = self.count(COUNTS, "--work", "chain")
        self.assertEqual(ran.returncode, 2, ran.stdout)
        self.assertIn("there is no work chain; there are tokens, chains", ran.stderr)

    def test_the_baseline_in_the_tree_can_be_read(self):
        kept = json.loads((GUARD / "baseline.json").read_text())
        self.assertEqual(kept["format"], 1)
        keys = [json.dumps(entry["key"], sort_keys=True) for entry in kept["entries"]]
        self.assertEqual(len(keys), len(set(keys)), "two entries for one key")
        for entry in kept["entries"]:
            for each in entry["history"]:
                self.assertTrue(each["why"])
                self.assertTrue(all(count > 0 for count in each["counts"].values()))


# As callgrind writes it: names once a file, the cost of a call on the line after it.
DUMP = """\
# callgrind format
part: 1

desc: Trigger: Client Request: submit/0/10
summary: 999

fn=(1) outer
10 9
cfn=(2) inner
calls=3 7
* 990

part: 2

desc: Trigger: Client Request: submit/1/10
summary: 500

fl=(4) somewhere.cpp
fn=(1)
10 100
+2 50
cfi=(5) elsewhere.cpp
cfn=(2)
calls=20 7
* 350

fn=(2)
7 300
-1 50
part: 3

desc: Trigger: Program termination
summary: 0
"""


class Callgrind(unittest.TestCase):
    def test_parts_are_told_apart_by_their_trigger(self):
        found = [(p.name, p.repeat, p.tokens, p.total) for p in callgrind.parts(DUMP)]
        self.assertEqual(found, [("submit", 0, 10, 999), ("submit", 1, 10, 500)])

    def test_functions_have_their_own_cost_and_that_of_their_callees(self):
        part = list(callgrind.parts(DUMP))[1]
        self.assertEqual(part.functions(), [("inner", 350, 350, 20), ("outer", 150, 500, 0)])

    def test_own_costs_add_up_to_the_total(self):
        part = list(callgrind.parts(DUMP))[1]
        self.assertEqual(sum(own for _, own, _, _ in part.functions()), part.total)


if __name__ == "__main__":
    unittest.main()
