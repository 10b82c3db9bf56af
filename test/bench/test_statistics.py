#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""Medians, spreads, percentiles, and the rank test."""

import itertools
import random
import unittest

import sample  # noqa: F401  (finds bench/report)
from report import rank_test, summary
from report.svg import Linear, Logarithmic, Nines
from report.text import number, percent


class Summaries(unittest.TestCase):
    def test_percentiles_are_linear_between_values(self):
        self.assertEqual(summary.percentile([1, 2, 3, 4], 0.5), 2.5)
        self.assertEqual(summary.percentile([7], 0.99), 7)
        values = summary.percentiles(range(1001))
        self.assertEqual((values["p50"], values["p99"], values["max"], values["count"]),
                         (500, 990, 1000, 1001))

    def test_the_spread_is_half_the_middle_half(self):
        self.assertEqual(summary.spread([5.0]), 0)
        self.assertEqual(summary.spread([0.0, 0.0, 0.0]), 0)
        self.assertAlmostEqual(summary.spread([10, 20, 30, 40, 50]), 0.5)

    def test_a_figure_counts_more_than_the_clock_and_samples_are_pooled(self):
        clock = {"repetitions": [3, 1, 2], "cpu_repetitions": [1, 1, 1]}
        summary.summarise(clock)
        self.assertEqual(clock["value"], 2)
        figures = {**clock, "figures": [30, 10, 20]}
        summary.summarise(figures)
        self.assertEqual((figures["value"], figures["ns_per_task"]), (20, 2))
        self.assertEqual(summary.repeated(figures), [30, 10, 20])
        samples = {**clock, "samples": [[1, 2, 3], [7, 8, 9], [4, 5, 6]]}
        summary.summarise(samples)
        self.assertEqual(samples["value"], 5)
        self.assertEqual(summary.repeated(samples), [2, 8, 5])
        self.assertEqual(summary.value(samples, "p99"), samples["percentiles"]["p99"])
        self.assertIsNone(summary.value(clock, "p99"))


class RankTest(unittest.TestCase):
    def test_chances_are_those_of_all_orders(self):
        for first, second in ((1, 1), (2, 3), (4, 3)):
            counts = [0] * (first * second + 1)
            for places in itertools.combinations(range(first + second), first):
                others = set(range(first + second)) - set(places)
                counts[sum(a > b for a in places for b in others)] += 1
            self.assertEqual(rank_test.arrangements(first, second), counts)

    def test_published_value(self):
        # Mann and Whitney 1947, table for n = m = 5: P(U <= 4) = .048, P(U <= 2) = .016
        self.assertAlmostEqual(rank_test.chance_of_at_most(4, 5, 5), 0.048, places=3)
        self.assertAlmostEqual(rank_test.chance_of_at_most(2, 5, 5), 0.016, places=3)

    def test_the_approximation_meets_the_exact_chance(self):
        exact = rank_test.chance_of_at_most(240, 25, 25)
        limit, rank_test.EXACT_UP_TO = rank_test.EXACT_UP_TO, 0
        try:
            self.assertAlmostEqual(rank_test.chance_of_at_most(240, 25, 25), exact, delta=0.003)
        finally:
            rank_test.EXACT_UP_TO = limit

    def test_alike_and_apart(self):
        low, high = [1.0, 1.1, 1.2, 1.3, 1.4], [2.0, 2.1, 2.2, 2.3, 2.4]
        self.assertAlmostEqual(rank_test.p_value(low, high), 2 / 252)
        self.assertAlmostEqual(rank_test.p_value(high, low), 2 / 252)
        self.assertEqual(rank_test.p_value(low, low), 1.0)
        self.assertEqual(rank_test.p_value([1.0] * 9, [1.0] * 9), 1.0)

    def test_the_interval_has_the_ratio_as_often_as_it_says(self):
        seed = 20260101
        dice, outside, runs = random.Random(seed), 0, 400
        for _ in range(runs):
            old = [dice.lognormvariate(0, 0.1) for _ in range(9)]
            new = [dice.lognormvariate(0, 0.1) * 1.5 for _ in range(9)]
            estimate, low, high = rank_test.ratio_interval(old, new, 0.05)
            self.assertLessEqual(low, estimate)
            self.assertLessEqual(estimate, high)
            outside += not low <= 1.5 <= high
        self.assertLessEqual(outside / runs, 0.08, f"seed {seed}")
        self.assertGreater(outside, 0, f"seed {seed}: the interval is far too wide")

    def test_three_rounds_say_nothing(self):
        self.assertEqual(rank_test.ratio_interval([1, 1.1, 1.2], [2, 2.1, 2.2], 0.01)[1:],
                         (0.0, float("inf")))


class Scales(unittest.TestCase):
    def test_ticks_are_round_and_inside(self):
        self.assertEqual(Linear(0, 100, 0, 1).ticks(), [0, 20, 40, 60, 80, 100])
        self.assertEqual(Linear(0.1, 0.9, 0, 1).ticks(4), [0.2, 0.4, 0.6, 0.8])
        self.assertEqual(Logarithmic(3, 700, 0, 1).ticks(), [1, 10, 100, 1000])
        self.assertEqual(Logarithmic(2, 64, 0, 1, 2).ticks(), [2, 4, 8, 16, 32, 64])

    def test_each_nine_has_the_same_room(self):
        scale = Nines(0.999, 0, 3)
        self.assertEqual([round(scale(share), 9) for share in (0, 0.9, 0.99, 0.999)], [0, 1, 2, 3])
        self.assertEqual(scale.ticks(), [0, 0.5, 0.9, 0.99, 0.999])


class Text(unittest.TestCase):
    def test_figures_have_three_digits_or_all(self):
        self.assertEqual([number(each) for each in (0, 0.0123, 1.234, 12.34, 1234.5, 9.999)],
                         ["0.00", "0.0123", "1.23", "12.3", "1,234", "10.0"])
        self.assertEqual([percent(each) for each in (0.0312, -0.2, 1.5)],
                         ["+3.1 %", "-20 %", "+150 %"])


if __name__ == "__main__":
    unittest.main()
