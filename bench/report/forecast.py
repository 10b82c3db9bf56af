# SPDX-License-Identifier: Apache-2.0
"""Looks at a work before it is measured: which settings it leaves open, and how long it takes."""

import json
import os
import re
import subprocess
import time
from dataclasses import dataclass, field

LIMIT_S = 300  # for one process; a value that makes a work a hundred times slower is told anyway
REST_S = 0.01  # before each turn


@dataclass
class Probe:
    """What a short run has told. Of one that failed nothing is known."""
    curve: str = ""
    sources: dict = field(default_factory=dict)  # by setting: "code", "environment", "default"
    round_s: float = 0.0  # a full round of all contenders
    beside_s: float = 0.0  # a process, besides its rounds
    most_rounds: int = 0  # 0: any number

    def leaves_open(self, setting):
        """Whether at least one contender takes it from the environment: of one that the code sets,
        each value would be the same."""
        return "environment" in self.sources.get(setting, {"environment"})

    def seconds(self, rounds):
        """Of a process with so many rounds, and one to warm up."""
        rounds = min(rounds, self.most_rounds or rounds)
        return self.beside_s + self.round_s * (rounds + 1)


def probe(binary, work_id, threads, settings=None, quick=False):
    """One quick round of a work.

    @param quick  whether it will be measured like this, too
    @param settings  environment variables; those of settings that are to be swept"""
    start = time.monotonic()
    told = subprocess.run(
        [binary, work_id, "--threads", str(threads), "--rounds", "1", "--quick"],
        capture_output=True, text=True, timeout=LIMIT_S,
        env={**os.environ, **(settings or {}), "TOKENGATE_DISPLAY_ENV": "1"})
    passed = time.monotonic() - start
    if told.returncode != 0:
        return Probe()
    sources = {}
    for name, source in re.findall(r"^\s+(\S+)\s.*\((\w+)\)$", told.stdout + told.stderr, re.M):
        sources.setdefault(name, set()).add(source)
    events = [json.loads(line) for line in told.stdout.splitlines() if line.startswith("{")]
    work = next(each for each in events if each["event"] == "work")
    runs = [each for each in events if each["event"] == "run"]
    measured = sum(each["ns_per_task"] for each in runs) * work["tasks"] / 1e9
    counted = [each["ns_per_task"] for each in runs if each["round"] > 0]
    return Probe(work["curve"], sources,
                 sum(counted) * work["tasks" if quick else "all_tasks"] / 1e9 + REST_S * len(counted),
                 max(0.0, passed - measured - REST_S * len(runs)), work["most_rounds"])


def in_words(seconds):
    """As exact as a forecast can be."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
