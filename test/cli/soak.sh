#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everything at random for a short while: each token ends, the books balance, nothing stays behind.
# shellcheck source=expect.sh
source "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

whole=('d["verified"] is True' 'd["ledger"] == "exact"' 'd["escapes"] == 0' 'd["leaked"] == 0'
  'd["unresolved"] == 0' 'd["wrong"] == 0' 'd["disorder"] == 0'
  'd["completed"] + d["failed"] + d["killed"] + d["timed_out"] == d["tokens"]'
  'sum(o["accepted"] for o in d["operations"]) == d["tokens"]'
  'sum(o["executions"] for o in d["operations"]) == d["executions"]')

run soak --seconds 2 --json
expect_status 0
expect_silent err
expect_json "${whole[@]}" 'd["seconds"] >= 2' 'd["seed"] == 0' 'd["threads"] == 4' \
  'd["tokens_per_second"] > 0' 'd["calls"] > 0' 'd["completed"] > 0' 'd["resolved"] > 0' \
  'len(d["operations"]) > 30'
expect_true 'one line' test "$(wc -l <"$work/out")" -eq 1

run soak --seconds 0.5 --cores 1 --threads 1 --seed 5 --json
expect_status 0
expect_json "${whole[@]}" 'd["cores"] == 1' 'd["threads"] == 1' 'd["seed"] == 5'
HWLOC_SYNTHETIC='pack:2 [numa] l3:4 core:8 pu:1' run soak --seconds 0.5 --seed 6 --json
expect_status 0
expect_json "${whole[@]}" 'd["cores"] == 64'
TOKENGATE_IN_FLIGHT_LIMIT=16 TOKENGATE_MAILBOX_CAPACITY=2 \
  run soak --seconds 0.5 --seed 7 --workers-per-core 2 --json
expect_status 0
expect_json "${whole[@]}" 'd["in_flight_limit"] == 16' 'd["mailbox_capacity"] == 2' \
  'd["workers_per_core"] == 2'

run soak --seconds 0.3
expect_status 0
expect_silent err
expect_out operation accepted 'timed out' pauses kills stops 'seed 0'
expect_out '0 unresolved, 0 escapes, 0 leaked, ledger exact: everything ended as it should'

# One execution is not counted: that is noticed.
run soak --seconds 0.5 --broken
expect_status 1
expect_out 'ledger NOT exact: NOT verified'
expect_err 'tokengate: expected ' " executions of '" 'tokengate: seed 0'
run soak --seconds 0.5 --broken --json
expect_status 1
expect_json 'd["verified"] is False' 'len(d["ledger"]) == 1' \
  'd["ledger"][0]["found"] == d["ledger"][0]["expected"] + 1' 'd["leaked"] == 0'

# refused TEXT -- ARGUMENT...: status 2, this text as the message.
refused() {
  run "${@:3}"
  expect_status 2
  expect_silent out
  expect_err 'tokengate: ' "$1"
}
refused '0 to 86400' -- soak --seconds -1
refused '0 to 86400' -- soak --seconds nan
refused '1 to 64' -- soak --threads 0
refused '1 to 64' -- soak --threads 65
refused '2^32' -- soak --seed -1
refused 'cores is 0' -- soak --cores 0
refused --bogus -- soak --bogus
run soak --help
expect_status 0
expect_out 'Usage: tokengate soak' --json --cores --seconds --threads --seed --broken

finish
