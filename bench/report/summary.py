# SPDX-License-Identifier: Apache-2.0
"""What is said of a contender: the median of its repetitions, their spread, its percentiles.

A contender measures in one of three ways. By the clock: nanoseconds per task. By a figure of its
own, one a repetition. By samples, many a repetition, such as latencies; of these the percentiles of
all repetitions together count, and the percentiles of each repetition show the spread."""

import statistics

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
# What grows along a curve.
QUANTITIES = {"tokens": "tokens in one wave", "domains": "domains",
              "submitters": "submitting threads"}


def percentile(ordered, share):
    """Of values in ascending order, linear between two of them."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def percentiles(samples):
    ordered = sorted(samples)
    return {**{name: percentile(ordered, share) for name, share in PERCENTILES.items()},
            "max": ordered[-1], "count": len(ordered)}


def spread(values):
    """Half the interquartile range over the median; 0 for one value."""
    middle = statistics.median(values)
    if len(values) < 2 or middle == 0:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 2 / abs(middle)


def pooled(contender):
    return [sample for each in contender.get("samples", []) for sample in each]


def repeated(contender, figure="median"):
    """One value of a figure for each repetition."""
    samples = contender.get("samples")
    if figure in PERCENTILES:
        if not samples:
            return []
        return [percentile(sorted(each), PERCENTILES[figure]) for each in samples]
    if contender.get("figures"):
        return contender["figures"]
    if samples:
        return repeated(contender, "p50")
    return contender["repetitions"]


def value(contender, figure="median"):
    """The value of a figure over all repetitions, or None where it was not measured."""
    if figure in PERCENTILES or figure == "max":
        return contender.get("percentiles", {}).get(figure)
    if contender.get("figures"):
        return statistics.median(contender["figures"])
    if contender.get("percentiles"):
        return contender["percentiles"]["p50"]
    return statistics.median(contender["repetitions"])


def summarise(contender):
    contender["ns_per_task"] = statistics.median(contender["repetitions"])
    contender["cpu_ns_per_task"] = statistics.median(contender["cpu_repetitions"])
    if contender.get("samples"):
        contender["percentiles"] = percentiles(pooled(contender))
    contender["value"] = value(contender)
    contender["spread"] = spread(repeated(contender))


def fastest(work, family, figure="median"):
    """The name of a family's contender with the least value, or None."""
    names = [name for name, each in work["contenders"].items()
             if each["family"] == family and value(each, figure) is not None]
    return min(names, key=lambda name: value(work["contenders"][name], figure), default=None)


def unit(work):
    """Of a work's figures; files of format 1 knew only one."""
    return work.get("unit") or "ns/task"


def label(name):
    """How a contender is shown: TokenGate with default settings submits medium tokens."""
    return "medium" if name == "tokengate" else name


def curves(works):
    """Works of each growth curve, in the order in which it grows."""
    found = {}
    for work in works:
        if work.get("curve"):
            found.setdefault(work["curve"], []).append(work)
    return {name: sorted(each, key=lambda work: work["at"]) for name, each in found.items()}
