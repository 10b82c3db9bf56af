#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Leibniz series in layers of tokens: the sum is that of the serial computation.
# shellcheck source=expect.sh
source "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

run pi --terms 10000 --chunk 100 --json
expect_status 0
expect_silent err
expect_json 'd["tokens"] == 10000 + 100 + 1 + 1' 'd["completed"] == d["tokens"]' \
  'd["failed"] == 0' 'd["verified"] is True' 'd["seconds"] > 0' 'd["tokens_per_second"] > 0' \
  '[l["name"] for l in d["layers"]] == ["term", "chunk", "partial", "total"]' \
  '[l["weight"] for l in d["layers"]] == ["light", "light", "medium", "heavy"]' \
  '[l["tokens"] for l in d["layers"]] == [10000, 100, 1, 1]' \
  'd["pi"] == "3.141" and d["correct_digits"] == 4' \
  'd["sum"] == "3.1414926535900432384595183833748153787870136427442"'

# The same terms in other chunks, a shorter one at the end: the same sum, but for the last digits.
run pi --terms 10000 --chunk 333 --json
expect_status 0
expect_json 'd["verified"] is True' '[l["tokens"] for l in d["layers"]] == [10000, 31, 1, 1]' \
  'd["sum"].startswith("3.14149265359004323845951838337481537878701364")'

# More than one partial, one term a chunk, one chunk for all.
run pi --terms 2500 --chunk 10 --json
expect_json 'd["verified"] is True' '[l["tokens"] for l in d["layers"]] == [2500, 250, 3, 1]'
run pi --terms 120 --chunk 1 --json
expect_json 'd["verified"] is True' '[l["tokens"] for l in d["layers"]] == [120, 120, 2, 1]'
run pi --terms 50 --chunk 1000 --json
expect_json 'd["verified"] is True' '[l["tokens"] for l in d["layers"]] == [50, 1, 1, 1]'

# One term proves no digit, two prove none either, ten prove one.
for terms in 1 2; do
  run pi --terms "$terms" --json
  expect_status 0
  expect_json 'd["verified"] is True' 'd["pi"] == "" and d["correct_digits"] == 0'
done
run pi --terms 10 --json
expect_json 'd["pi"] == "3" and d["correct_digits"] == 1'

for digits in 30 50 100 200; do
  run pi --terms 1000 --digits "$digits" --json
  expect_status 0
  expect_json 'd["verified"] is True' "len(d['sum']) == $digits + 1" \
    'd["sum"].startswith("3.140592653839792925963596502")'
done

run pi --terms 1000
expect_status 0
expect_silent err
expect_out 'term ' 'chunk ' 'partial ' 'total ' '3.14' 'digit by digit'
expect_out '1003 tokens, 0 failed, sum verified'

finish
