#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Bursts and mixed batches: every result is right, and nothing stays behind on disk.
# shellcheck source=expect.sh
source "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

run burst --seconds 1 --json
expect_status 0
expect_silent err
expect_json 'd["verified"] is True' 'd["failed"] == 0' 'd["completed"] == d["tokens"]' \
  'd["seconds"] >= 1' 'd["tokens_per_second"] > 0' 'len(d["bursts"]) == 6' \
  'all(b["ok"] == 8 and b["failed"] == 0 for b in d["bursts"])' \
  'all(b["min_seconds"] <= b["mean_seconds"] <= b["max_seconds"] for b in d["bursts"])' \
  'all(b["jitter_seconds"] >= 0 and b["stdev_seconds"] >= 0 for b in d["bursts"])' \
  'all(0 < b["overlap"] <= 8 for b in d["bursts"])' \
  'd["window"]["batches"] >= 1' \
  '10 * d["window"]["batches"] <= d["window"]["tokens"] <= 20 * d["window"]["batches"]' \
  'sum(d["window"]["operations"].values()) == d["window"]["tokens"]' \
  'd["window"]["p50_seconds"] <= d["window"]["p95_seconds"] <= d["window"]["max_seconds"]' \
  'd["tokens"] == 2 * 6 * 8 + d["window"]["tokens"]'
expect_true 'the temporary directory is gone' test "$(find "$work" -mindepth 1 -type d | wc -l)" -eq 0

run burst --seconds 0 --json --cores 1 --seed 3
expect_status 0
expect_json 'd["window"] is None' 'd["tokens"] == 96' 'd["verified"] is True'

run burst --seconds 0.2
expect_status 0
expect_silent err
expect_out jitter stdev overlap 'log append' '8 KiB blob' 'p50' 'p95' '0 failed, all results verified'

# Nowhere to write: a clear error instead of wrong results.
TMPDIR=$work/absent run burst --seconds 0
expect_status 1
expect_err 'tokengate: ' "$work/absent"

finish
