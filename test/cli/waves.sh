#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job: every token is there and right, and its figures can be read.
# shellcheck source=expect.sh
source "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

run waves --waves 6 --json
expect_status 0
expect_silent err
expect_json 'd["tokens"] == 252' 'd["completed"] == 252' 'd["failed"] == 0' \
  'd["verified"] is True' 'd["seconds"] > 0' 'd["tokens_per_second"] > 0' 'd["tbb_ratio"] > 0' \
  '[w["tokens"] for w in d["waves"]] == [4, 8, 16, 32, 64, 128]' \
  '[w["wave"] for w in d["waves"]] == [1, 2, 3, 4, 5, 6]' \
  'all(w["ok"] == w["tokens"] and w["failed"] == 0 for w in d["waves"])' \
  'all(0 < w["mean_latency_seconds"] for w in d["waves"])' \
  'all(w["p99_latency_seconds"] <= w["seconds"] for w in d["waves"])' \
  'all(w["overlap"] > 0 and w["parallelism"] > 0 for w in d["waves"])' \
  'all(w["tbb"]["ok"] == w["tokens"] and w["tbb_ratio"] > 0 for w in d["waves"])' \
  'abs(sum(w["seconds"] for w in d["waves"]) - d["seconds"]) < 1e-9' \
  'sum(w["heavy"] for w in d["domains"]) == 63' \
  'sum(w["medium"] for w in d["domains"]) == 63' \
  'sum(w["light"] for w in d["domains"]) == 126'
expect_true 'one line' test "$(wc -l <"$work/out")" -eq 1

run waves --waves 3 --json --no-baseline --seed 7 --cores 3 --workers-per-core 2
expect_status 0
expect_json 'd["tbb_ratio"] is None' 'd["waves"][0]["tbb"] is None' 'd["verified"] is True' \
  'd["cores"] == 3' 'd["workers_per_core"] == 2' 'len(d["domains"]) == 3'

# Any width gives the same results.
for cores in 1 2 4; do
  run waves --waves 5 --no-baseline --cores "$cores"
  expect_status 0
  expect_silent err
  expect_out tokens/s overlap parallel
  expect_last_line '124 tokens, 0 failed, all results verified'
done

HWLOC_SYNTHETIC='pack:2 [numa] l3:4 core:8 pu:1' run waves --waves 7 --json --no-baseline
expect_status 0
expect_json 'd["cores"] == 64' 'd["verified"] is True' \
  'all(d["domains"][0][c] == 0 for c in ("medium", "light"))' 'd["domains"][1]["light"] == 0'

run waves --waves 4 --svg "$work/drawing.svg"
expect_status 0
expect_last_line '60 tokens, 0 failed, all results verified'
expect_true 'the drawing is XML' python3 -c '
import sys, xml.dom.minidom
drawing = xml.dom.minidom.parse(sys.argv[1])
assert drawing.documentElement.tagName == "svg"
lines = drawing.getElementsByTagName("polyline")
assert len(lines) == 6, len(lines)  # throughput; mean and p99 latency; of two sides
assert all(len(line.getAttribute("points").split()) == 4 for line in lines)
' "$work/drawing.svg"

# A file that was longer holds nothing of what was in it.
head -c 100000 /dev/zero >"$work/drawing.svg"
run waves --waves 2 --no-baseline --json --svg "$work/drawing.svg"
expect_status 0
expect_json 'd["verified"] is True'
expect_true 'the drawing ends with its last tag' test "$(tail -n 1 "$work/drawing.svg")" = '</svg>'

# Progress is for terminals only; the runs above had none on standard error.
if command -v script >/dev/null; then
  shown='tokengate waves on a terminal'
  status=0
  script -qec "'$binary' waves --waves 3 --no-baseline 2>&1 >'$work/rows'" /dev/null \
    </dev/null >"$work/out" 2>"$work/err" || status=$?
  expect_status 0
  expect_out 'wave 3 of 3'
  expect_true 'the table is not mixed with progress' grep -q '28 tokens, 0 failed' "$work/rows"
fi

finish
