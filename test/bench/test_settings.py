#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""That the works leave to the environment each setting that ./dev bench sweeps on them by default.

usage: test_settings.py TOKENGATE-BENCH BUILD-FOLDER"""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from report import forecast, sweeps  # noqa: E402
from report.machine import build_options  # noqa: E402

BINARY = Path(sys.argv[1]) if len(sys.argv) == 3 else None
BUILD = build_options(Path(sys.argv[2])) if BINARY else {}


class Settings(unittest.TestCase):
    def test_each_setting_acts_where_it_is_swept(self):
        for work in sorted({work for each in sweeps.SETTINGS.values() for work in each.works}):
            swept = [each for each in sweeps.SETTINGS.values() if work in each.works]
            given = {each.variable: each.default(BUILD) for each in swept}
            self.assertNotIn(None, given.values(), "each has a Meson option")
            probe = forecast.probe(BINARY, work, 2, given)
            for each in swept:
                with self.subTest(work=work, setting=each.name):
                    self.assertEqual(probe.sources.get(each.name), {"environment"})

    def test_a_setting_that_a_work_needs_is_found(self):
        probe = forecast.probe(BINARY, "P10", 2, {"TOKENGATE_WORKERS_PER_CORE": "1"})
        self.assertEqual(probe.sources["workers_per_core"], {"code"})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
