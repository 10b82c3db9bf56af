#!/usr/bin/env -S python3 -BSE
# SPDX-License-Identifier: Apache-2.0
"""Takes the place of tokengate-bench: says what that would say, of works that take no time.

BENCH_STAND_IN_FACTOR makes TokenGate slower, BENCH_STAND_IN_WRONG spoils a result,
BENCH_STAND_IN_CURVES adds works of a growth curve."""

import json
import os
import random
import sys

FAMILIES = {"task_group": "oneTBB", "tokengate": "TokenGate"}
PRICES = {"P1": {"task_group": 100.0, "tokengate": 40.0},
          "P3": {"task_group": 34.0, "tokengate": 30.0}}
CURVE = {"P11a": 1024.0, "P11b": 65536.0, "P11c": 16777216.0}
if "BENCH_STAND_IN_CURVES" in os.environ:
    PRICES.update({work: {"task_group": 100.0, "tokengate": 40.0} for work in CURVE})


def show(**event):
    print(json.dumps(event), flush=True)


def main():
    arguments = sys.argv[1:]
    if arguments == ["--list"]:
        for work in PRICES:
            print(f"{work}\tstand-in for {work}")
        return 0
    work = arguments[0]
    threads = int(arguments[arguments.index("--threads") + 1])
    rounds = int(arguments[arguments.index("--rounds") + 1])
    spin = os.environ.get("TOKENGATE_SPIN_TIME", "50")
    if os.environ.get("TOKENGATE_DISPLAY_ENV") == "1":
        print("TokenGate runs with\n  workers_per_core  1  (code)", file=sys.stderr)
        source = "environment" if "TOKENGATE_SPIN_TIME" in os.environ else "default"
        print(f"  spin_time         {spin}  ({source})", file=sys.stderr)
    if not spin.isdigit():
        print(f"TOKENGATE_SPIN_TIME is '{spin}'", file=sys.stderr)
        return 1
    dice = random.Random(work + spin)
    show(event="build", compiler="stand-in 1.0", onetbb="0", optimized=True)
    show(event="work", id=work, title=f"stand-in for {work}", tasks=10, threads=threads,
         rounds=rounds, unit="ns/task", curve="tokens" if work in CURVE else "", at=CURVE.get(work, 0.0), all_tasks=10**8,
         most_rounds=0,
         contenders=[{"name": name, "family": each} for name, each in FAMILIES.items()],
         goals=[{"of": "tokengate", "against": ["task_group"], "figure": "median",
                 "measure": "time_ratio", "limit": 0.5, "floor": False}])
    for turn in range(rounds + 1):
        for name, price in PRICES[work].items():
            if name == "tokengate":
                price *= float(os.environ.get("BENCH_STAND_IN_FACTOR", "1"))
                price *= 2 if spin == "0" else 1
            time = price * dice.gauss(1, 0.003) / threads
            show(event="run", contender=name, round=turn, ns_per_task=time, cpu_ns_per_task=time)
    if os.environ.get("BENCH_STAND_IN_WRONG") == work:
        show(event="wrong", contender="tokengate", why="9 instead of 10")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
