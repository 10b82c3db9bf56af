# SPDX-License-Identifier: Apache-2.0
"""Starts tokengate-bench for one work and collects what it prints."""

import json
import os
import subprocess
import sys
import threading

from report.machine import Disturbance
from report.summary import summarise


class Failed(Exception):
    """A work could not be measured, or a contender did not do it."""


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def known_works(binary):
    """The works that there are, with their titles."""
    listing = subprocess.run([binary, "--list"], capture_output=True, text=True, check=True).stdout
    return dict(line.split("\t", 1) for line in listing.splitlines())


def measure(binary, work_id, threads, rounds, quick=False, settings=None, limit_s=None):
    """One work: what the binary says of it, all repetitions and their summary.

    @param settings  environment variables for this run
    @param limit_s  the process is ended after so many seconds
    @return the work, and what is known of the build"""
    command = [binary, work_id, "--threads", threads, "--rounds", rounds]
    command += ["--quick"] if quick else []
    title = " ".join([work_id, *(f"{k}={v}" for k, v in (settings or {}).items())])
    disturbance = Disturbance()
    with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, **(settings or {})}) as process:
        late = threading.Event()

        def end():
            late.set()
            process.kill()

        timer = threading.Timer(limit_s or 0, end)
        if limit_s:
            timer.start()
        try:
            work, build, wrong = collect(process.stdout, title, rounds)
        finally:
            timer.cancel()
    progress("")
    if late.is_set():
        raise Failed(f"{title}: not done after {limit_s} seconds")
    if wrong:
        raise Failed("wrong result: " + "; ".join(f"{title} {each}" for each in wrong))
    if process.returncode != 0 or not work:
        raise Failed(f"{title}: {binary} ended with status {process.returncode}")
    for each in work["contenders"].values():
        summarise(each)
    work["machine_share"] = disturbance.shares()
    return work, build


def collect(lines, title, rounds):
    work, build, wrong = {}, {}, []
    for line in lines:
        event = json.loads(line)
        kind = event.pop("event")
        if kind == "build":
            build = event
        elif kind == "work":
            work = event
            work["contenders"] = {
                each["name"]: {"family": each["family"], "repetitions": [],
                               "cpu_repetitions": [], "warm_up": None}
                for each in work["contenders"]
            }
        elif kind == "run":
            record(work["contenders"][event["contender"]], event)
            progress(f"{title}  round {event['round']} of {rounds}")
        elif kind == "wrong":
            wrong.append(f"{event['contender']}: {event['why']}")
    return work, build, wrong


def record(contender, event):
    """One repetition. Round 0 warms up and does not count."""
    if event["round"] == 0:
        contender["warm_up"] = event["ns_per_task"]
        return
    contender["repetitions"].append(event["ns_per_task"])
    contender["cpu_repetitions"].append(event["cpu_ns_per_task"])
    if event.get("figure") is not None:
        contender.setdefault("figures", []).append(event["figure"])
    if event.get("samples"):
        contender.setdefault("samples", []).append(event["samples"])


def merge(whole, part):
    """Adds the repetitions of one more process to a work that was measured before."""
    for name, contender in whole["contenders"].items():
        other = part["contenders"][name]
        for key in ("repetitions", "cpu_repetitions", "figures", "samples"):
            if key in contender:
                contender[key] = contender[key] + other[key]
        summarise(contender)
    for key, share in part["machine_share"].items():
        whole["machine_share"][key] = max(whole["machine_share"][key], share)
