# SPDX-License-Identifier: Apache-2.0
"""Reads what callgrind has written; its format is in the manual of Valgrind, chapter "Callgrind
Format Specification"."""

import re

TRIGGER = re.compile(r"^desc: Trigger: Client Request: ([^/]+)/(\d+)/(\d+)$", re.M)
TOTAL = re.compile(r"^summary: (\d+)$", re.M)
NAME = re.compile(r"^(fn|cfn|fl|fi|fe|cfi|cfl|ob|cob)=\((\d+)\)(?: (.*))?$")


def parts(text):
    """The stretches that the program has named, in order. Names are given once in a file, so that
    all parts share them."""
    names = {}
    for text_of_part in re.split(r"^part: \d+$", text, flags=re.M):
        lines = text_of_part.splitlines()
        for line in lines:
            match = NAME.match(line)
            if match and match[3] and match[1].endswith("fn"):
                names[match[2]] = match[3]
        trigger = TRIGGER.search(text_of_part)
        total = TOTAL.search(text_of_part)
        if trigger and total:
            yield Part(trigger[1], int(trigger[2]), int(trigger[3]), int(total[1]), lines, names)


class Part:
    """One repetition of one stretch."""

    def __init__(self, name, repeat, tokens, total, lines, names):
        self.name, self.repeat, self.tokens, self.total = name, repeat, tokens, total
        self.lines, self.names = lines, names

    def functions(self):
        """Of each function: its own instructions, those with all that it calls, and how often it
        was called."""
        own, below, calls = {}, {}, {}
        function = callee = None
        for line in self.lines:
            match = NAME.match(line)
            if match and match[1] == "fn":
                function = match[2]
            elif match and match[1] == "cfn":
                callee = match[2]
            elif line.startswith("calls="):
                calls[callee] = calls.get(callee, 0) + int(line[6:].split()[0])
            elif function and line[:1] in "+-*0123456789" and line:
                cost = int(line.split()[1])
                if callee is None:
                    own[function] = own.get(function, 0) + cost
                elif callee != function:
                    below[function] = below.get(function, 0) + cost
                callee = None
        everything = sorted(set(own) | set(below), key=lambda f: -own.get(f, 0))
        return [(self.names.get(f, f), own.get(f, 0), own.get(f, 0) + below.get(f, 0),
                 calls.get(f, 0)) for f in everything]

    def profile(self, share=0.002):
        """A table of the functions that cost something. What a recursive function calls counts more
        than once, so that only its own cost is shown."""
        rows = [f"{self.name}: {self.total / self.tokens:.1f} instructions per token",
                f"{'own':>8} {'in all':>8} {'calls':>7}  function"]
        for name, own, in_all, calls in self.functions():
            if own < share * self.total:
                continue
            shown = f"{in_all / self.tokens:8.1f}" if in_all <= self.total else f"{'-':>8}"
            rows.append(f"{own / self.tokens:8.1f} {shown} {calls / self.tokens:7.2f}  {name}")
        return "\n".join(rows)
