# SPDX-License-Identifier: Apache-2.0
"""The command line of `./dev bench`."""

import argparse
import string
from pathlib import Path

from report.goals import GOAL_THREADS
from report.sweeps import SETTINGS, Wanted

ROUNDS, QUICK_ROUNDS, SWEEP_ROUNDS = 9, 3, 6


def natural(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def naturals(text):
    return list(dict.fromkeys(natural(word) for word in text.split(",")))


def parser():
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description="Measures TokenGate next to raw oneTBB: same work, same threads, in turn.",
        epilog="exit status: 0 measured, 1 a wrong result (or, with --strict, a goal missed or, "
               "with --compare, something slower), 2 usage")
    parser.add_argument("build_dir", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("works", nargs="*", metavar="WORK",
                        help="P1, P2, ...; P12 means P12a, P12b, ... (all)")
    parser.add_argument("--quick", action="store_true",
                        help="fewer tasks and rounds; checks results, judges no times")
    parser.add_argument("--threads", type=naturals, metavar="N[,N...]",
                        help="threads that run tasks (2); several: how the works scale")
    parser.add_argument("--rounds", type=natural, metavar="N",
                        help=f"repetitions of each contender ({ROUNDS}; quick: {QUICK_ROUNDS}; "
                             f"each value of a sweep, and --tuning: {SWEEP_ROUNDS})")
    parser.add_argument("--sweep", action="append", metavar="SETTING[=VALUE,...]",
                        help=f"measure works with a setting over a range of values: "
                             f"{', '.join(SETTINGS)}, or all; may be repeated")
    parser.add_argument("--tuning", action="store_true",
                        help="all growth curves, and all settings over their values; the time that "
                             "takes is told beforehand, the end is a table to quote")
    parser.add_argument("--compare", nargs="+", metavar="JSON",
                        help="OLD.json: measure, and show what changed beyond noise; OLD.json "
                             "NEW.json: compare two earlier runs")
    parser.add_argument("--show", nargs="+", metavar="JSON",
                        help="measure nothing: table and report of earlier runs, taken together")
    parser.add_argument("--json", type=Path, metavar="FILE",
                        help="where the figures go (bench/latest.json in the build; "
                             "sweeps: sweep.json, --tuning: tuning.json, several numbers of threads: scaling.json)")
    parser.add_argument("--html", type=Path, metavar="FILE",
                        help="where the report goes (next to the figures)")
    parser.add_argument("--strict", action="store_true",
                        help="fail if a goal is missed; with --compare, if something got slower")
    parser.add_argument("--lto", action="store_true",
                        help="build with link-time optimisation, in build-lto")
    parser.add_argument("--pgo", action="store_true",
                        help="build by the profile of a training run, in build-pgo; with --lto in "
                             "build-lto-pgo")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--list", action="store_true", help="list the works and end")
    parser.usage = "./dev bench [WORK ...] [options]"
    return parser


def take_files(words, works):
    """The leading files of an option; what follows are works."""
    files = [word for word in words if word.endswith(".json") or Path(word).is_file()]
    works.extend(word for word in words if word not in files)
    return [Path(each) for each in files]


def parse(arguments=None):
    """(parser for errors, options), checked as far as that is possible without the binary."""
    ask = parser()
    options = ask.parse_intermixed_args(arguments)  # so that works may follow options
    for name in ("compare", "show"):
        words = getattr(options, name)
        if words is not None:
            setattr(options, name, take_files(words, options.works))
            if not getattr(options, name):
                ask.error(f"--{name} needs a JSON file")
    if options.compare and len(options.compare) > 2:
        ask.error("--compare takes one file or two")
    if options.show and (options.compare or options.sweep or options.works or options.tuning):
        ask.error("--show takes files only")
    if options.tuning and (options.sweep or options.compare or options.works):
        ask.error("--tuning takes all curves and settings: no works, no --sweep, no --compare")
    if options.tuning:
        options.sweep = ["all"]
    if options.sweep and options.compare:
        ask.error("a sweep cannot be compared")
    try:
        options.sweep = Wanted.all_of(options.sweep) if options.sweep else []
    except ValueError as error:
        ask.error(str(error))
    options.scaling = options.threads is not None and len(options.threads) > 1
    if options.sweep and options.scaling:
        ask.error("a sweep takes one number of threads")
    threads = options.threads or [GOAL_THREADS]
    if options.strict and not options.compare and (
            options.quick or options.sweep or GOAL_THREADS not in threads):
        ask.error(f"only full runs with {GOAL_THREADS} threads are judged, so nothing else can "
                  "be --strict")
    return ask, options


def chosen(ask, known, words):
    """The works that the user has named; where there is no P12, it stands for P12a, P12b, ..."""
    wanted = set()
    for word in words:
        name = word.upper()
        meant = ([work for work in known if work.upper() == name]
                 or [work for work in known if work.rstrip(string.ascii_lowercase) == name])
        if not meant:
            ask.error(f"there is no work {word}; there are {', '.join(known)}")
        wanted.update(meant)
    return [work for work in known if work in wanted or not words]
