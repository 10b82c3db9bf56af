#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""The tables that say what growth and settings do: differences beyond the noise, and no others."""

import unittest

import sample
from report import tuning


def sweep_of(**factors):
    """A sweep of TokenGate's times; `rival` moves oneTBB's with the value 200."""
    rival = factors.pop("rival", 1)
    maker = sample.Maker(3)
    points = {value: maker.work("P1", {"task_group": 100 * (rival if value == "200" else 1),
                                       "tokengate": 50 * factor})
              for value, factor in (("0", factors["at_0"]), ("50", 1), ("200", factors["at_200"]))}
    return {**maker.sweep(), "values": ["0", "50", "200"], "works": {"P1": points}}


class Tuning(unittest.TestCase):
    def test_what_is_faster_and_what_is_slower_is_named(self):
        row, = tuning.setting_rows(sweep_of(at_0=1.5, at_200=0.8))
        self.assertEqual(row[:3], ("spin_time", "50", "P1 medium"))
        self.assertRegex(row[3], r"^200: -\d+ %$")
        self.assertRegex(row[4], r"^0: \+\d+ %$")

    def test_noise_is_no_difference(self):
        row, = tuning.setting_rows(sweep_of(at_0=1.01, at_200=0.99))
        self.assertIn("none beyond noise", row[3])

    def test_a_machine_that_moved_hides_differences(self):
        row, = tuning.setting_rows(sweep_of(at_0=1.1, at_200=0.9, rival=1.3))
        self.assertIn("none beyond noise", row[3])
        self.assertRegex(row[5], "^±(29|3[01])%$")

    def test_values_that_failed_are_named(self):
        rows = list(tuning.setting_rows(sample.Maker(1).sweep()))
        self.assertIn("failed: 1000", rows[-1][5])

    def test_each_curve_has_a_row(self):
        rows = list(tuning.curve_rows(sample.run()["works"].values()))
        self.assertEqual([row[:3] for row in rows], [
            ("tokens in one wave", "2^10", "2^22"), ("domains", "2", "64"),
            ("submitting threads", "1", "16")])
        self.assertRegex(rows[1][4], r"^\+5\d % at 64$")

    def test_a_quick_run_is_not_quoted(self):
        self.assertEqual(tuning.tables({**sample.run(), "quick": True}), [])

    def test_columns_are_aligned(self):
        lines = list(tuning.markdown(("a", "b"), [("long cell", "x|y"), ("", "z")]))
        self.assertEqual(len({len(line) for line in lines}), 1)
        self.assertEqual([line.count("|") for line in lines], [3] * 4)


if __name__ == "__main__":
    unittest.main()
