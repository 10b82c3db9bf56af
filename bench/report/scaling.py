# SPDX-License-Identifier: Apache-2.0
"""The works with one number of threads after the other."""

from report.measure import measure


def measure_threads(binary, work_id, options, done):
    """@param done  a work of this run by its number of threads, not to be measured twice
    @return the works by number of threads, as text, since JSON knows no other keys"""
    result = {}
    for threads in options.threads:
        work = done.get(threads)
        if work is None:
            work, _ = measure(binary, work_id, threads, options.rounds, options.quick)
        result[str(threads)] = {key: each for key, each in work.items() if key != "goals"}
    return result
