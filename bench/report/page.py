# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML page: no scripts, nothing from outside, for screens light and dark and for
paper."""

from html import escape
from pathlib import Path

from report import compare, goals, plots, table, tuning
from report.summary import label, unit
from report.text import number

STYLE = (Path(__file__).parent / "style.css").read_text()
FAMILY_KEY = {"serial": "serial", "oneTBB": "raw oneTBB", "TokenGate": "TokenGate",
              "others": "others"}


def tag(name, content, class_=None, **attributes):
    said = f' class="{class_}"' if class_ else ""
    said += "".join(f' {key}="{escape(str(value))}"' for key, value in attributes.items())
    return f"<{name}{said}>{content}</{name}>"


def facts(report):
    machine = report["machine"]
    build = report["build"]
    compiled = ", ".join(f"{name} {build[name]}" for name in ("buildtype", "b_lto", "b_pgo")
                         if build.get(name) not in (None, False, "off"))
    rows = [("Machine", f"{machine['cpu']}, {machine['cpus']} CPUs"
             + (", virtual" if machine["virtual"] else "")),
            ("Memory", f"{machine['memory_bytes'] / 2**30:.1f} GiB"),
            ("System", machine["system"]), ("Compiler", report["compiler"]),
            ("Build", compiled), ("oneTBB", report["onetbb"]),
            ("Revision", report["revision"]), ("Measured", report["date"]),
            ("Threads", f"{report['threads']} that run tasks"),
            ("Rounds", f"{report['rounds']}, contenders in turn")]
    return tag("dl", "".join(tag("div", tag("dt", escape(name)) + tag("dd", escape(str(what))))
                             for name, what in rows), "facts")


def chip(goal, is_judged):
    word = goals.verdict(goal, is_judged)
    if word == "yes":
        return tag("span", "✓ met", "chip good")
    if word == "NO":
        return tag("span", "✗ missed", "chip bad")
    return tag("span", "–", "chip none")


def counts(report):
    if not goals.judged(report):
        return ""
    met, missed = goals.counts(report["works"].values())
    return tag("ul", tag("li", tag("b", met) + "goals met")
               + tag("li", tag("b", missed) + "goals missed"), "counts")


def contenders(work, column):
    lines = []
    for name, each in work["contenders"].items():
        if table.column(each) != column:
            continue
        said = number(each["value"])
        if each.get("percentiles") and not each.get("figures"):
            said = f"p50 {said} p99 {number(each['percentiles']['p99'])}"
        lines.append(tag("li", f"{escape(label(name))} {tag('b', said)} "
                         + tag("small", f"±{each['spread']:.0%}")))
    return tag("ul", "".join(lines), "contenders") if lines else ""


def works_table(report):
    works = list(report["works"].values())
    columns = table.columns_of(works)
    is_judged = goals.judged(report)
    head = ["work", *columns, "ratio (medium or named)", "goal", "met"]
    bodies = []
    for work in works:
        span = max(len(work["goals"]), 1)
        note = f"{work['tasks']:,} {work['title']}; {unit(work)}"
        first = tag("th", f"{escape(work['id'])}{tag('small', escape(note))}", rowspan=span,
                    scope="row")
        first += "".join(tag("td", contenders(work, each), rowspan=span) for each in columns)
        rows = []
        for goal in work["goals"]:
            said, asked = goals.in_words(goal, work)
            rows.append(tag("td", escape(said), "goal") + tag("td", escape(asked), "goal")
                        + tag("td", chip(goal, is_judged)))
        rows = rows or ["<td></td>" * 3]
        rows[0] = first + rows[0]
        bodies.append(tag("tbody", "".join(tag("tr", row) for row in rows)))
    return tag("div", tag(
        "table", tag("caption", "Medians of all rounds; ± is half the interquartile range. Only "
                     "ratios within one run mean anything.")
        + tag("thead", tag("tr", "".join(tag("th", escape(each), scope="col") for each in head)))
        + "".join(bodies)), "scroll", tabindex="0", role="region", **{"aria-label": "works"})


def changes(lines, old, new):
    """The comparison with an earlier run."""
    rows, before = [], None
    colours = {"faster": "good", "slower": "bad"}
    for line in lines:
        cells = compare.row(line, with_work=line["work"] != before)
        before = line["work"]
        rows.append(tag("tr", "".join(tag("td", escape(cell)) for cell in cells[:-1])
                        + tag("td", tag("span", cells[-1],
                                        f"chip {colours.get(cells[-1], 'none')}"))))
    said = (f"Old: {old['date']}, revision {old['revision']}. A verdict is that of the ratio to "
            f"oneTBB where there is one; faster and slower mean {compare.LEAST_CHANGE:.0%} at "
            f"least, and by chance in less than {compare.CHANCE:.0%} of all cases.")
    return tag("p", escape(said)) + remarks(compare.remarks(old, new)) + tag("div", tag(
        "table", tag("thead", tag("tr", "".join(tag("th", escape(each), scope="col")
                                                for each in compare.HEAD)))
        + tag("tbody", "".join(rows))), "scroll", tabindex="0", role="region",
        **{"aria-label": "changes"})


def remarks(lines):
    items = "".join(tag("li", escape(each)) for each in lines)
    return tag("ul", items, "warnings") if items else ""


def figures(pairs):
    drawn = "".join(tag("figure", tag("figcaption", escape(caption)) + svg)
                    for caption, svg in pairs)
    return tag("div", drawn, "plots") if drawn else ""


def key(works, marks):
    present = {"others" if each["family"] not in FAMILY_KEY else each["family"]
               for work in works for each in work["contenders"].values()}
    entries = [tag("li", tag("i", "", plots.COLOURS.get(family, "others")) + escape(name))
               for family, name in FAMILY_KEY.items() if family in present]
    if marks:
        entries += [tag("li", tag("i", "", "dot-key") + "one repetition; the line covers the "
                        "middle half"),
                    tag("li", tag("i", "", "goal-key") + "goal: the bar should end before it")]
    return tag("ul", "".join(entries), "key")


def quotable(report):
    """What growth and settings do, in short."""
    return "".join(tag("div", tag(
        "table", tag("caption", escape(title))
        + tag("thead", tag("tr", "".join(tag("th", escape(each), scope="col") for each in head)))
        + tag("tbody", "".join(tag("tr", "".join(tag("td", escape(cell)) for cell in row))
                               for row in rows))),
        "scroll", tabindex="0", role="region", **{"aria-label": title})
        for title, head, rows in tuning.tables(report))


def sections(report, comparison):
    """(identifier, heading, what to know, content) of all that the run has figures for."""
    works = list(report["works"].values())
    if works:
        yield "works", "Works and goals", "", works_table(report)
    if comparison:
        lines, old = comparison
        yield "changes", "Changes", "", changes(lines, old, report)
    yield ("tuning", "What growth and settings do", "What differs by no more than the noise is no "
           "difference: noise is how far oneTBB's times moved, or the spread of the repetitions.",
           quotable(report))
    yield ("bars", "Each work", "Shorter is better. " + key(works, True),
           figures(plots.bar_plots(works)))
    yield ("throughput", "Throughput by wave size", "Higher is better. A wave is submitted at once "
           "and waited for.", figures(plots.throughput_plots(works)))
    yield ("growth", "Growth", "The price of a task while something grows; flat is best. "
           "Pale bars: the middle half of all repetitions.",
           figures(plots.growth_plots(works)))
    yield ("latency", "Latency", "Further left is better. The vertical axis gives each nine the "
           "same room, so that the slowest few can be seen; the marks are at 50, 90, 99 and "
           "99.9 %.", figures(plots.latency_plots(works)))
    yield ("memory", "Memory", "Shorter is better.", figures(plots.memory_plots(works)))
    yield ("scaling", "Scaling over threads", "Higher is better.",
           figures(plots.scaling_plots(report.get("scaling"))))
    yield ("sweeps", "Settings", "Below 1 a value is faster than the default; TOKENGATE_* sets it, "
           "or tokengate::config. oneTBB does not know the settings: its dashed grey lines show "
           "how much the machine changed meanwhile.",
           figures(plots.sweep_plots(report.get("sweeps", {}))))


def page(report, comparison=None):
    """@param comparison  (lines of compare.compare, the old run), or None"""
    shown = [each for each in sections(report, comparison) if each[3]]
    body = [tag("h1", "TokenGate next to raw oneTBB"),
            tag("p", "The same work on as many threads, in turn, every result verified.", "soft"),
            facts(report), counts(report), remarks(table.warnings(report)),
            tag("nav", "".join(tag("a", escape(name), href=f"#{place}")
                               for place, name, _, _ in shown))]
    for place, name, intro, content in shown:
        body.append(tag("section", tag("h2", escape(name)) + tag("div", intro, "soft") + content,
                        id=place))
    body.append(tag("footer", "Written by ./dev bench; how it is measured and how to read it: "
                    "bench/README.md."))
    return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
            f"<title>TokenGate benchmarks, {escape(report['revision'])}</title>"
            f"<style>{STYLE}</style></head>\n<body><main>\n" + "\n".join(body)
            + "\n</main></body></html>\n")
