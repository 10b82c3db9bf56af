#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The map of domains, of this machine and of others.
# shellcheck source=expect.sh
source "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

large='pack:2 [numa] l3:4 core:8 pu:1'

run topology
expect_status 0
expect_silent err
expect_out 'this machine'

HWLOC_SYNTHETIC=$large run topology
expect_status 0
expect_out 'domains  64' 0-63 1-63 2-63
HWLOC_SYNTHETIC=$large run topology --json
expect_status 0
expect_json 'd["domains"] == 64' 'len(d["map"]) == 64' \
  'd["classes"]["heavy"] == {"first": 0, "last": 63}' \
  'd["classes"]["medium"] == {"first": 1, "last": 63}' \
  'd["classes"]["light"] == {"first": 2, "last": 63}'

run topology --synthetic "$large" --scope l3 --json
expect_status 0
expect_json 'd["domains"] == 8' 'd["scope"] == "l3"' 'all(len(m["cpus"]) == 8 for m in d["map"])'
run topology --synthetic "$large" --scope numa
expect_status 0
expect_out 'domains  2'

# More domains than cores wrap around.
run topology --synthetic 'core:2 pu:1' --cores 5 --json
expect_status 0
expect_json 'd["domains"] == 5' 'd["distinct"] == 2' 'd["map"][4]["cpus"] == d["map"][0]["cpus"]'

finish
