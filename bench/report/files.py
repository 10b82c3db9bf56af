# SPDX-License-Identifier: Apache-2.0
"""Runs as JSON files: written, read again whatever their age, and taken together."""

import json
import re

from report.measure import Failed
from report.summary import summarise

FORMAT = 2  # counts up when a reader of old files would be misled


def dump(report):
    """Numbers of one list share a line, so that a file with many samples can still be read."""
    text = json.dumps(report, indent=1, ensure_ascii=False)
    return re.sub(r"\[\n[-+0-9.eE,\s]+\]",
                  lambda found: "[" + " ".join(found[0][1:-1].split()) + "]", text) + "\n"


def read(path):
    """A run. Files of format 1 had no units, figures and samples."""
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Failed(f"{path}: {error}") from error
    if not isinstance(report, dict) or not isinstance(report.get("works"), dict):
        raise Failed(f"{path}: no file of ./dev bench")
    if report.get("format", 0) > FORMAT:
        raise Failed(f"{path}: format {report['format']}; known are those up to {FORMAT}")
    for work in report["works"].values():
        for contender in work["contenders"].values():
            summarise(contender)
    return report


def by_number(work_id):
    """P2 before P10, P1 before P1a."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", work_id)]


def together(reports):
    """Works, sweeps and scaling of several runs; where two have the same, the later one counts.
    (report, what the reader has to know of it)"""
    first, *rest = reports
    whole = {**first, "works": dict(first["works"]), "sweeps": dict(first.get("sweeps", {}))}
    told = []
    for each in rest:
        for key, name in (("revision", "revision"), ("compiler", "compiler"),
                          ("onetbb", "oneTBB"), ("quick", "quick")):
            if each.get(key) != first.get(key):
                told.append(f"not all runs are of one {name}: {first.get(key)}, {each.get(key)}")
        if each["machine"]["cpu"] != first["machine"]["cpu"]:
            told.append(f"not all runs are of one machine: {first['machine']['cpu']}, "
                        f"{each['machine']['cpu']}")
        if each["works"] and whole["works"] and each["threads"] != whole["threads"]:
            raise Failed(f"runs with {whole['threads']} and {each['threads']} threads cannot be "
                         "taken together")
        if each["works"] and not whole["works"]:
            whole.update(threads=each["threads"], rounds=each["rounds"])
        whole["works"].update(each["works"])
        whole["sweeps"].update(each.get("sweeps", {}))
        if each.get("scaling"):
            if not whole.get("scaling"):
                whole["scaling"] = each["scaling"]
            elif whole["scaling"]["threads"] == each["scaling"]["threads"]:
                whole["scaling"] = {**each["scaling"], "works": {**whole["scaling"]["works"],
                                                                 **each["scaling"]["works"]}}
            else:
                raise Failed("runs with different numbers of threads cannot be taken together")
    whole["works"] = dict(sorted(whole["works"].items(), key=lambda each: by_number(each[0])))
    return whole, list(dict.fromkeys(told))
