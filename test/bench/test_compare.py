#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""That a change beyond noise is found, and that noise is not taken for a change."""

import unittest

import sample
from report import compare


def verdicts(old, new):
    return {(line["work"], line["contender"], line["figure"]): line["verdict"]
            for line in compare.compare(old, new)}


class Comparison(unittest.TestCase):
    def test_equal_runs_are_the_same(self):
        for seed in range(20, 30):
            found = verdicts(sample.run(seed=1), sample.run(seed=seed))
            wrong = {key: each for key, each in found.items() if each in ("faster", "slower")}
            self.assertEqual(wrong, {}, f"seed {seed}")
        self.assertEqual(found["P6", "tokengate", "median"], "same")

    def test_a_file_is_the_same_as_itself(self):
        report = sample.run()
        found = verdicts(report, report)
        p99 = [key for key in found if key[2] == "p99"]  # is not known well enough to be sure
        self.assertTrue(p99)
        self.assertEqual({each for key, each in found.items() if key not in p99}, {"same"})
        self.assertLessEqual({found[key] for key in p99}, {"same", "noisy"})

    def test_slower_and_faster_are_found_where_they_are(self):
        found = verdicts(sample.run(seed=1), sample.run(seed=2, slower={"P1": 1.1, "P6": 0.9,
                                                                        "P7": 1.2, "P10": 1.05}))
        changed = {key: each for key, each in found.items() if each != "same"}
        self.assertEqual(changed.pop(("P1", "tokengate", "median")), "slower")
        self.assertEqual(changed.pop(("P6", "tokengate", "median")), "faster")
        self.assertEqual(changed.pop(("P7", "tokengate", "p50")), "slower")
        self.assertEqual(changed.pop(("P7", "tokengate", "p99")), "slower")
        self.assertEqual(changed.pop(("P10", "tokengate", "median")), "slower")
        self.assertEqual(set(changed.values()) - {"noisy"}, set())

    def test_a_slower_machine_is_no_slower_runtime(self):
        lines = compare.compare(sample.run(seed=1), sample.run(seed=2, machine=1.3))
        with_rival = [line for line in lines if line["ratio"]]
        self.assertTrue(with_rival)
        for line in with_rival:
            self.assertEqual(line["time"]["verdict"], "slower", line["work"])
            self.assertNotIn(line["verdict"], ("slower", "faster"), line["work"])

    def test_what_is_certain_but_small_is_not_worth_a_word(self):
        old, new = sample.run(1, noise=0.001), sample.run(2, {"P1": 1.02}, noise=0.001)
        self.assertEqual(verdicts(old, new)["P1", "tokengate", "median"], "same")

    def test_noise_is_called_so(self):
        old, new = sample.run(1, noise=0.3), sample.run(2, {"P1": 1.1}, noise=0.3)
        self.assertEqual(verdicts(old, new)["P1", "tokengate", "median"], "noisy")

    def test_three_rounds_are_never_certain(self):
        found = verdicts(sample.run(1, rounds=3), sample.run(2, {"P1": 2}, rounds=3))
        self.assertNotIn("slower", found.values())

    def test_far_below_an_absolute_goal_nothing_is_slower(self):
        old, new = sample.run(1), sample.run(2)
        for run, value in ((old, 0.01), (new, 0.02)):
            run["works"]["P10"] = sample.Maker(seed=4).work(
                "P10", {"tokengate": value}, unit="bytes/task", kind="figure",
                goals=[sample.goal("tokengate", [], 160.0, "absolute")])
        self.assertEqual(verdicts(old, new)["P10", "tokengate", "median"], "same")

    def test_zero_has_no_ratio(self):
        report = sample.run()
        for each in report["works"]["P10"]["contenders"].values():
            each["figures"] = [0.0] * 9
        self.assertIn(verdicts(report, report)["P10", "tokengate", "median"], ("same", "-"))

    def test_other_work_is_not_compared(self):
        old, new = sample.run(1), sample.run(2)
        new["works"]["P1"]["tasks"] = 5
        del new["works"]["P6"]
        self.assertFalse({"P1", "P6"} & {work for work, _, _ in verdicts(old, new)})
        told = "\n".join(compare.remarks(old, new))
        self.assertIn("not the same in both runs (tasks, threads or unit): P1", told)
        self.assertIn("only in the old run: P6", told)

    def test_what_makes_it_worth_less_is_said(self):
        old, new = sample.run(1), sample.run(2, rounds=3)
        new["machine"]["cpu"] = "another"
        new["environment"] = {"TOKENGATE_SPIN_TIME": "0"}
        new["works"]["P6"]["machine_share"] = {"others": 0.2, "steal": 0.0}
        told = "\n".join(compare.remarks(old, new))
        for wanted in ("another CPU", "TOKENGATE_SPIN_TIME was unset, is 0",
                       "disturbed P6 in the new run", "the new run has 3 rounds"):
            self.assertIn(wanted, told)

    def test_a_format_1_file_can_be_compared(self):
        found = verdicts(sample.format_1(), sample.run(2, {"P1": 1.2}))
        self.assertEqual(found["P1", "tokengate", "median"], "slower")


if __name__ == "__main__":
    unittest.main()
