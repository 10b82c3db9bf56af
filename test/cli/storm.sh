#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sticky keys: every token that has one domain to go to goes there and runs there, and nothing is
# left of any key.
# shellcheck source=expect.sh
source "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

whole=('d["verified"] is True' 'd["misses"] == 0' 'd["escapes"] == 0' 'd["leaked"] == 0'
  'd["disorder"] == 0' 'd["failed"] == 0' 'd["completed"] == d["tokens"]')

run storm --keys 500 --tokens 20 --json
expect_status 0
expect_silent err
expect_json "${whole[@]}" 'd["seconds"] > 0' 'd["tokens_per_second"] > 0' \
  '[p["phase"] for p in d["phases"]] == ["bursts", "storm", "serial"]' \
  '[p["keys"] for p in d["phases"]] == [4, 500, 100]' \
  '[p["tokens"] for p in d["phases"]] == [4 + 6 * 128, 10000, 2000]' \
  'd["phases"][0]["bound"] == 4 + 6 * 128' \
  'all(p["bound"] >= p["tokens"] / 2 for p in d["phases"])' \
  'd["beside_anchors"] == 6 * 128' \
  'd["keys"] == 500 and sum(k["keys"] for k in d["keys_by_domains"]) == 500' \
  'd["keys_by_domains"][0]["domains"] == 1 and d["keys_by_domains"][0]["keys"] >= 250' \
  'sum(x["tokens"] for x in d["domains"]) == d["tokens"]' \
  'all(x["tokens"] == x["anchored"] for x in d["domains"])'
expect_true 'one line' test "$(wc -l <"$work/out")" -eq 1

# Any width; with one domain there is nowhere else to go.
run storm --keys 300 --tokens 10 --cores 1 --json
expect_status 0
expect_json "${whole[@]}" 'd["redirected"] == 0' 'len(d["domains"]) == 1' \
  'd["keys_by_domains"] == [{"domains": 1, "keys": 300}]'
for cores in 2 5; do
  run storm --keys 300 --tokens 10 --cores "$cores" --workers-per-core 2 --json
  expect_status 0
  expect_json "${whole[@]}" "len(d['domains']) == $cores" 'd["redirected"] > 0'
done
HWLOC_SYNTHETIC='pack:2 [numa] l3:4 core:8 pu:1' run storm --keys 1000 --tokens 10 --json
expect_status 0
expect_json "${whole[@]}" 'len(d["domains"]) == 64' 'all(x["tokens"] > 0 for x in d["domains"])'

# The smallest storm.
run storm --keys 1 --tokens 1 --bursts 0 --seed 5 --json
expect_status 0
expect_json "${whole[@]}" 'd["tokens"] == 4 + 1 + 1' 'd["beside_anchors"] == 0'

# Places that many keys share, full lanes, and no thread that could run anything beside an anchor.
TOKENGATE_STICKY_SLOTS=16 TOKENGATE_MAILBOX_CAPACITY=2 run storm --keys 200 --tokens 10 --json
expect_status 0
expect_json "${whole[@]}"
TOKENGATE_RESERVE_WORKERS=0 TOKENGATE_IN_FLIGHT_LIMIT=2 \
  run storm --keys 50 --tokens 10 --cores 2 --json
expect_status 0
expect_json "${whole[@]}"

run storm --keys 300 --tokens 10
expect_status 0
expect_silent err
expect_out bursts storm serial 'tokens/s' redirected 'ran beside the anchor'
expect_last_line \
  '4772 tokens, 0 misses, 0 escapes, 0 leaked: every key kept its domain'

# Without keys the checks find what they are there for, each of them.
run_until 'out of order or side by side' storm --keys 300 --tokens 50 --cores 2 --broken
expect_status 1
expect_out 'NOT verified'
expect_err 'tokengate: expected 0 misses, found ' 'out of order or side by side' 'the first miss: '
run_until '"disorder":[1-9].*"phase":"storm",[^}]*"misses":[1-9]' \
  storm --keys 300 --tokens 50 --cores 2 --broken --json
expect_status 1
expect_json 'd["verified"] is False' 'd["disorder"] > 0' 'd["leaked"] == 0' \
  'd["phases"][1]["misses"] > 0'

# refused TEXT -- ARGUMENT...: status 2, this text as the message.
refused() {
  run "${@:3}"
  expect_status 2
  expect_silent out
  expect_err 'tokengate: ' "$1"
}
refused '1 to 10^6' -- storm --keys 0
refused '1 to 10^6' -- storm --keys -1
refused '1 to 10^6' -- storm --keys 1000001
refused '1 to 10^6' -- storm --tokens 0
refused '1 to 10^8' -- storm --keys 1000000 --tokens 1000000
refused '0 to 1000' -- storm --bursts 1001
refused '2^32' -- storm --seed 4294967296
refused 'cores is 0' -- storm --cores 0
refused --bogus -- storm --bogus
run storm --help
expect_status 0
expect_out 'Usage: tokengate storm' --json --cores --keys --tokens --bursts --seed --broken

finish
