# SPDX-License-Identifier: Apache-2.0
"""What a run of sweeps and growth curves will measure, settled and told beforehand."""

from report.forecast import in_words, probe
from report.sweeps import schedule


class Plan:
    """Probes each work once. What a work sets in code is taken out, and told.

    @param sweeps  [(sweeps.Wanted, works)]
    @param curves  whether the works that belong to a growth curve are measured as well"""

    def __init__(self, binary, known, sweeps, curves, build, options):
        self.told, self.works, self.sweeps = [], [], []
        self.curve_s = self.sweep_s = 0.0
        self.certain = True
        self.probes = {}
        self.threads, self.quick = options.threads[0], options.quick
        for work in known if curves else []:
            seen = self.look(binary, work, variables(sweeps, work, build))
            if seen.curve:
                self.works.append(work)
                self.curve_s += seen.seconds(options.rounds)
        passes, rounds = schedule(options)
        for wanted, works in sweeps:
            values, _ = wanted.complete(build)
            left = []
            for work in works:
                seen = self.look(binary, work, variables(sweeps, work, build))
                if not seen.leaves_open(wanted.setting.name):
                    self.told.append(f"{work} sets {wanted.setting.name} itself: nothing to sweep "
                                     "there")
                    continue
                left.append(work)
                self.sweep_s += len(values) * passes * seen.seconds(rounds)
                self.certain = self.certain and seen.round_s > 0
            if left:
                self.sweeps.append((wanted, left))

    def look(self, binary, work, settings):
        if work not in self.probes:
            self.probes[work] = probe(binary, work, self.threads, settings, self.quick)
        return self.probes[work]

    def announcement(self, build):
        """What will be measured, and for how long: a line for the user."""
        parts = []
        if self.works:
            parts.append(f"{len(self.works)} points of growth curves, {in_words(self.curve_s)}")
        if self.sweeps:
            points = sum(len(wanted.complete(build)[0]) * len(works)
                         for wanted, works in self.sweeps)
            count = "1 setting" if len(self.sweeps) == 1 else f"{len(self.sweeps)} settings"
            parts.append(f"{count}, {points} points, {in_words(self.sweep_s)}")
        total = in_words(self.curve_s + self.sweep_s)
        exact = ("values that make a work slow take longer" if self.certain
                 else "not all works could be tried out, so it may be more")
        return f"{'; '.join(parts)}: about {total} in all ({exact})"


def variables(sweeps, work, build):
    """All settings that are swept on a work, each with a value that does no harm."""
    given = {}
    for wanted, works in sweeps:
        if work in works:
            values, default = wanted.complete(build)
            given[wanted.setting.variable] = values[0] if default is None else default
    return given
