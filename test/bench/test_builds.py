#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""./dev bench --lto and --pgo as far as that goes without minutes of building: mistakes are told
before anything is built, and a build is what it is called."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class Builds(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.tools = self.root / "tools"
        self.tools.mkdir()

    def call(self, *words, status, path=os.environ["PATH"]):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("TOKENGATE_")}
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                              env={**clean, "PATH": path}, timeout=100)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def tool(self, name, text):
        """A program that is found before the one of this name."""
        (self.tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.tools / name).chmod(0o755)

    def dev(self, *words, status, meson="exit 3"):
        """./dev of a tree of its own, with a Meson and a Ninja that only say what they would do."""
        tree = self.root / "tree"
        if not tree.exists():
            tree.mkdir()
            shutil.copy(ROOT / "dev", tree)
            (tree / "bench").symlink_to(ROOT / "bench")
        log = self.root / "log"
        log.write_text("")
        self.tool("meson", f'echo meson "$@" >> {log}\n{meson}')
        self.tool("ninja", f'echo ninja "$@" >> {log}\nexit 3')
        self.tool("dpkg-query", "printf installed")
        said = self.call(tree / "dev", "bench", *words, status=status,
                         path=f"{self.tools}:{os.environ['PATH']}")
        return said, log.read_text()

    def test_mistakes_are_told_before_anything_is_built(self):
        for words in (["--pgo=yes"], ["--lto", "--rounds", "0"], ["--pgo", "--nonsense"],
                      ["--pgo", "--sweep", "nonsense"]):
            said, started = self.dev(*words, status=2)
            self.assertIn("error:", said)
            self.assertEqual(started, "", words)

    def test_each_kind_of_build_has_a_folder_of_its_own(self):
        for words, folder, option in ((["--lto"], "build-lto", "-Db_lto=true"),
                                      (["--pgo"], "build-pgo", "-Db_pgo=generate"),
                                      (["--lto", "--pgo"], "build-lto-pgo", "-Db_lto=true"),
                                      (["--pgo", "--lto", "P1"], "build-lto-pgo",
                                       "-Db_pgo=generate"),
                                      ([], "build", "-Dbench=enabled")):
            _, started = self.dev(*words, status=1)
            self.assertRegex(started, rf"^meson setup {folder} .*{option}", words)

    def test_without_its_profile_tool_clang_is_refused(self):
        self.tool("clang++", "case $1 in --version) echo clang 99 ;; *) echo llvm-profdata ;; esac")
        sets_up = ("mkdir -p build-pgo && touch build-pgo/build.ninja && echo "
                   f"'[{{\"command\": \"ccache {self.tools}/clang++ -c x.cpp\"}}]' "
                   "> build-pgo/compile_commands.json")
        said, started = self.dev("--pgo", status=1, meson=sets_up)
        self.assertIn("no llvm-profdata of", said)
        self.assertNotIn("ninja", started, "nothing is built in vain")

    def test_help_names_both(self):
        said, _ = self.dev("--help", status=0)
        self.assertIn("--lto", said)
        self.assertIn("--pgo", said)

    def stand_in(self, **options):
        build = self.root / "build"
        (build / "bench").mkdir(parents=True, exist_ok=True)
        (build / "meson-info").mkdir(exist_ok=True)
        shutil.copy(HERE / "stand_in.py", build / "bench/tokengate-bench")
        known = [{"name": name, "value": value, "section": "base"}
                 for name, value in {"buildtype": "release", **options}.items()]
        (build / "meson-info/intro-buildoptions.json").write_text(json.dumps(known))
        return build

    def test_a_build_is_what_it_is_called(self):
        run = ROOT / "bench/run"
        plain = self.stand_in(b_lto=False, b_pgo="off")
        self.assertIn("not built with b_pgo", self.call(run, plain, "--pgo", "P1", status=2))
        self.assertIn("not built with b_lto", self.call(run, plain, "--lto", "P1", status=2))
        both = self.stand_in(b_lto=True, b_pgo="use")
        said = self.call(run, both, "--lto", "--pgo", "--quick", "P1", status=0)
        self.assertIn("stand-in 1.0, LTO, PGO;", said)
        training = self.stand_in(b_lto=False, b_pgo="generate")
        said = self.call(run, training, "P1", status=0)
        self.assertIn("this build is instrumented", said)


if __name__ == "__main__":
    unittest.main()
