#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Chains: whatever a lead creates shares its domain and its seed, also if tokens are killed or throw,
# and nothing is left open.
# shellcheck source=expect.sh
source "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

whole=('d["verified"] is True' 'd["misses"] == 0' 'd["seed_misses"] == 0' 'd["twin_seeds"] == 0'
  'd["escapes"] == 0' 'd["leaked"] == 0' 'd["left_open"] == 0' 'd["wrong"] == 0'
  'd["completed"] + d["failed"] + d["killed"] == d["tokens"]' 'd["kills"] == d["killed"]')

run chain --leads 200 --json
expect_status 0
expect_silent err
expect_json "${whole[@]}" 'd["seconds"] > 0' 'd["leads"] == 3 + 200' \
  '[p["phase"] for p in d["phases"]] == ["family", "forest"]' \
  'd["phases"][0]["tokens"] == 15 and d["phases"][0]["completed"] == 15' \
  '200 < d["phases"][1]["tokens"] <= 200 * 85' 'd["nested"] > 0' 'd["failed"] > 0' \
  'd["killed"] > 0' 'd["waits"] > 0'
expect_true 'one line' test "$(wc -l <"$work/out")" -eq 1

for cores in 1 2 5; do
  run chain --leads 100 --seed "$cores" --cores "$cores" --workers-per-core 2 --json
  expect_status 0
  expect_json "${whole[@]}" "len(d['domains']) == $cores"
done
HWLOC_SYNTHETIC='pack:2 [numa] l3:4 core:8 pu:1' run chain --leads 200 --json
expect_status 0
expect_json "${whole[@]}" 'len(d["domains"]) == 64'

run chain --leads 1 --json
expect_status 0
expect_json "${whole[@]}" 'd["leads"] == 4'

# Deques and lanes that hold next to nothing.
TOKENGATE_DEQUE_CAPACITY=2 TOKENGATE_MAILBOX_CAPACITY=2 run chain --leads 50 --json
expect_status 0
expect_json "${whole[@]}"

run chain --leads 50
expect_status 0
expect_silent err
expect_out family forest nested 'free token' 'wait'
expect_out '0 misses, 0 escapes, 0 leaked: every chain kept its domain and its seed'

# Without chains the checks find what they are there for.
run chain --leads 50 --cores 2 --broken
expect_status 1
expect_out 'NOT verified'
expect_err "tokengate: expected 0 tokens with another seed than their chain's, found " 'the first: '
# One worker may run all tokens before another one wakes: then none has left its domain.
run_until '"misses":[1-9][0-9]*,"seed_misses"' chain --leads 100 --cores 3 --broken --json
expect_status 1
expect_json 'd["verified"] is False' 'd["seed_misses"] == d["tokens"]' 'd["misses"] > 0' \
  'd["twin_seeds"] == d["leads"] + d["nested"] - 2'

# refused TEXT -- ARGUMENT...: status 2, this text as the message.
refused() {
  run "${@:3}"
  expect_status 2
  expect_silent out
  expect_err 'tokengate: ' "$1"
}
refused '1 to 10^5' -- chain --leads 0
refused '1 to 10^5' -- chain --leads 100001
refused '2^32' -- chain --seed -1
refused 'cores is 0' -- chain --cores 0
refused --bogus -- chain --bogus
run chain --help
expect_status 0
expect_out 'Usage: tokengate chain' --json --cores --leads --seed --broken

finish
