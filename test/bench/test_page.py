#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""The report: well-formed, self-contained, and with every plot that the figures give."""

import re
import unittest
import xml.etree.ElementTree as xml

import sample
from report import compare, page


def parsed(text):
    """As XML, which is stricter than what browsers ask for."""
    return xml.fromstring(text.removeprefix("<!DOCTYPE html>\n"))


def sections(tree):
    return {each.get("id"): each for each in tree.iter("section")}


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.report = sample.run(seed=2, slower={"P1": 1.2})
        old = sample.run(seed=1)
        cls.text = page.page(cls.report, (compare.compare(old, cls.report), old))
        cls.tree = parsed(cls.text)

    def test_nothing_comes_from_outside(self):
        self.assertEqual([each for each in re.findall(r"https?:[^\"' )]*", self.text)], [])
        for word in ("<script", "<link", "<img", "@import", "url(", "<iframe", "javascript:"):
            self.assertNotIn(word, self.text)
        for each in self.tree.iter():
            for name in ("src", "href", "{http://www.w3.org/1999/xlink}href"):
                self.assertTrue(each.get(name, "#").startswith("#"), each.get(name))

    def test_each_figure_has_its_plots(self):
        plots = {name: len(list(each.iter("svg"))) for name, each in sections(self.tree).items()}
        self.assertEqual(plots, {"works": 0, "changes": 0, "tuning": 0, "bars": 3, "throughput": 1, "growth": 3,
                                 "latency": 1, "memory": 1, "scaling": 1, "sweeps": 1})

    def test_without_figures_there_are_no_sections(self):
        report = {**sample.run(), "works": {}, "sweeps": {}}
        del report["scaling"]
        self.assertEqual(sections(parsed(page.page(report))), {})
        single = {"P6": sample.run()["works"]["P6"]}
        self.assertEqual(set(sections(parsed(page.page({**report, "works": single})))),
                         {"works", "bars"})

    def test_each_plot_says_what_it_is(self):
        names = set()
        for svg in self.tree.iter("svg"):
            title, description = svg.find("title"), svg.find("desc")
            self.assertEqual(svg.get("role"), "img")
            self.assertEqual(svg.get("aria-labelledby"),
                             f"{title.get('id')} {description.get('id')}")
            self.assertTrue(title.text and description.text)
            self.assertTrue([each for each in svg.iter("text") if "axis" in each.get("class", "")],
                            f"{title.text}: no axis has a name")
            names.add(title.get("id"))
        self.assertEqual(len(names), len(list(self.tree.iter("svg"))), "an id is there twice")

    def test_a_curve_is_not_called_by_one_of_its_points(self):
        for name in ("growth", "throughput"):
            for caption in sections(self.tree)[name].iter("figcaption"):
                self.assertNotIn("made up", caption.text)
        first = sections(self.tree)["growth"].find(".//figcaption").text
        self.assertIn("tokens in one wave, 2^10 to 2^22", first)

    def test_a_setting_has_no_colour_of_onetbb(self):
        used = {name for svg in sections(self.tree)["sweeps"].iter("svg") for each in svg.iter()
                for name in each.get("class", "").split()}
        self.assertFalse(used & {"c2", "onetbb"})

    def test_many_warnings_share_a_line(self):
        report = sample.run()
        for work in report["works"].values():
            work["machine_share"] = {"others": 0.5, "steal": 0.0}
        said = [each for each in page.table.warnings(report) if "other programs" in each]
        self.assertEqual(len(said), 1)
        self.assertIn("P11a, P11b", said[0])

    def test_nothing_is_drawn_outside_the_plots(self):
        for svg in self.tree.iter("svg"):
            width, height = map(float, svg.get("viewBox").split()[2:])
            for each in svg.iter():
                for names, limit in ((("x", "x1", "x2", "cx"), width),
                                     (("y", "y1", "y2", "cy"), height)):
                    for name in names:
                        if each.get(name) is not None:
                            value = float(each.get(name))
                            self.assertTrue(0 <= value <= limit,
                                            f"{svg.find('title').text}: {each.tag} {name}={value}")

    def test_longer_bars_are_longer_times(self):
        chart = next(sections(self.tree)["bars"].iter("svg"))
        widths = [float(each.get("width")) for each in chart.iter("rect")
                  if "bar" in each.get("class")]
        values = [each["value"] for each in self.report["works"]["P1"]["contenders"].values()]
        self.assertEqual(len(widths), len(values))
        for width, value in zip(widths, values):
            self.assertAlmostEqual(width / widths[0], value / values[0], places=2)

    def test_goals_are_counted_and_marked(self):
        text = "".join(self.tree.itertext())
        self.assertIn("✓ met", text)
        self.assertIn("✗ missed", text)
        met = len(re.findall("✓ met", text))
        self.assertIn(f"{met}goals met", text)
        self.assertNotIn("✓ met", page.page({**self.report, "quick": True}))

    def test_warnings_come_first(self):
        report = sample.run()
        report["works"]["P6"]["machine_share"] = {"others": 0.5, "steal": 0.0}
        text = page.page(report)
        self.assertLess(text.index("P6: other programs used 50%"), text.index("<table"))

    def test_what_the_run_says_is_no_markup(self):
        self.assertIn("Made-Up &lt;CPU&gt;", self.text)
        self.assertNotIn("made up <work>", self.text)

    def test_the_slower_contender_is_shown(self):
        rows = [["".join(cell.itertext()) for cell in row.findall("td")]
                for row in sections(self.tree)["changes"].iter("tr")]
        slower = [row for row in rows if row and row[-1] == "slower"]
        self.assertEqual([row[1:3] for row in slower], [["TokenGate", "medium"]])
        self.assertRegex(slower[0][3], r"^45\.\d → 5\d\.\d$")

    def test_light_dark_and_paper(self):
        style = "".join(self.tree.find("head/style").itertext())
        self.assertIn("prefers-color-scheme: dark", style)
        self.assertIn("@media print", style)
        used = {name for svg in self.tree.iter("svg") for each in svg.iter()
                for name in each.get("class", "").split()}
        for name in used - {"label", "dot", "value", "name", "tick", "axis"}:
            self.assertRegex(style, rf"\.{name}\b", f"class {name} has no style")


if __name__ == "__main__":
    unittest.main()
