# SPDX-License-Identifier: Apache-2.0
"""Whether two sets of repetitions differ by more than chance, and by how much.

Mann and Whitney's test (Ann. Math. Stat. 18, 1947) asks only in which order the values come, so
that outliers, of which a busy machine has many, count no more than any other value. The estimate of
the ratio and its interval are those of Hodges and Lehmann (Ann. Math. Stat. 34, 1963): the ratios
of all pairs, cut off where the same test would."""

import functools
import itertools
import math
import statistics

EXACT_UP_TO = 25  # repetitions of a run; above, the normal approximation is as good


@functools.lru_cache(maxsize=None)
def arrangements(first, second):
    """How many of all orders of `first` and `second` values have u pairs in which the value of the
    first set is larger, for each u from 0 to first * second."""
    counts = {(0, 0): [1]}
    for i, j in itertools.product(range(first + 1), range(second + 1)):
        if i == j == 0:
            continue
        ways = [0] * (i * j + 1)
        if i > 0:  # the largest value is of the first set: it is larger than all j others
            for u, count in enumerate(counts[i - 1, j]):
                ways[u + j] += count
        if j > 0:
            for u, count in enumerate(counts[i, j - 1]):
                ways[u] += count
        counts[i, j] = ways
    return counts[first, second]


def chance_of_at_most(u, first, second):
    """That no more than `u` pairs are in this order if both sets are alike."""
    if u < 0:
        return 0.0
    if max(first, second) <= EXACT_UP_TO:
        ways = arrangements(first, second)
        return sum(ways[: math.floor(u) + 1]) / sum(ways)
    middle = first * second / 2
    deviation = math.sqrt(first * second * (first + second + 1) / 12)
    return statistics.NormalDist(middle, deviation).cdf(u + 0.5)


def p_value(old, new):
    """The chance that two sets of the same distribution are at least as far apart; two-sided. Ties
    count half for either side, which makes the exact chance a little too large, never too small."""
    if not old or not new:
        return 1.0
    larger = sum((a > b) + (a == b) / 2 for a in new for b in old)
    least = math.ceil(min(larger, len(old) * len(new) - larger))
    return min(1.0, 2 * chance_of_at_most(least, len(new), len(old)))


def ratio_interval(old, new, chance):
    """(estimate, low, high) of new over old; the true ratio is outside with at most `chance`. The
    interval is 0 to infinity where there are too few values to say that of any other."""
    ratios = sorted(a / b for a in new for b in old)
    estimate = statistics.median(ratios)
    cut = -1
    while (cut + 1 < len(ratios) / 2
           and chance_of_at_most(cut + 1, len(new), len(old)) <= chance / 2):
        cut += 1
    if cut < 0:
        return estimate, 0.0, math.inf
    return estimate, ratios[cut], ratios[len(ratios) - 1 - cut]
