#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Does the property test catch a mistake in the library?
#
#   run_mutant.sh TEST none               without a mistake it passes
#   run_mutant.sh TEST MUTANT PATTERN     with this one it fails, and its output matches PATTERN
#
# A hang counts if the test's own guard has found it.
set -euo pipefail

if [[ $# -lt 2 || ($2 != none && $# -ne 3) ]]; then
  sed -n '3,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
test=$1
mutant=$2
pattern=${3:-}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# A loaded machine needs more time for a good library than a broken one needs to hang.
limit=15
[[ $mutant != none ]] || limit=100

failed=0
TOKENGATE_MUTANT=$mutant TOKENGATE_HANG_LIMIT=$limit "$test" --abort-after=1 --no-colors=true \
  >"$log" 2>&1 || failed=1

if [[ $mutant == none ]]; then
  [[ $failed -eq 0 ]] || { cat "$log"; echo "FAILED: without a mistake the test must pass"; exit 1; }
  echo "ok: the test passes without a mistake"
  exit 0
fi
if [[ $failed -eq 0 ]]; then
  echo "FAILED: $mutant was not caught"
  exit 1
fi
if ! grep -qE "$pattern" "$log"; then
  cat "$log"
  echo "FAILED: $mutant was caught, but not by what should catch it: $pattern"
  exit 1
fi
echo "ok: $mutant was caught:"
grep -E "$pattern" "$log" | head -5
