#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks one Spin model exhaustively.
#
#   run_model.sh holds  MODEL.pml [-DNAME[=VALUE]...]   every property must hold
#   run_model.sh caught MODEL.pml [-DNAME[=VALUE]...]   some property must be violated
#
# Always: assertions and invalid end states (deadlock, lost wake-up). Then liveness: named ltl
# formulas and accept labels; or, without these, that nobody goes round for ever (past no progress
# label, if there are any), so that each execution ends, in a state that safety has judged. First
# without any assumption, which is cheap and proves more, and if that fails, under weak fairness.
# A search that was cut short (depth, memory) proves nothing and fails in either mode.
set -euo pipefail

if [[ $# -lt 2 || ! $1 =~ ^(holds|caught)$ || ! -r $2 ]]; then
  sed -n '3,14s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
expected=$1
model=$(realpath "$2")
shift 2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# Most searches take less than it takes to compile them; those that stop at an error the least.
optimization=-O1
[[ $expected == holds ]] || optimization=-O0

# verify NAME PAN_COMPILE_FLAGS PAN_RUN_FLAGS: prints the verdict, returns 0 if no error was found.
verify() {
  local name=$1 log="$work/$1.log"
  # Unquoted on purpose: lists of flags.
  # shellcheck disable=SC2086
  "${CC:-cc}" "$optimization" -w -DMEMLIM=4096 -DVECTORSZ=4096 $2 -o "pan_$name" pan.c
  # shellcheck disable=SC2086
  "./pan_$name" -m2000000 $3 >"$log" 2>&1 || true
  if grep -qE 'max search depth too small|out of memory|reached -DMEMLIM|VECTORSZ' "$log" ||
    ! grep -qE 'errors: [0-9]+' "$log"; then
    echo "$name: the search is not complete"
    cat "$log"
    exit 1
  fi
  local errors states
  errors=$(sed -nE 's/.*errors: ([0-9]+).*/\1/p' "$log")
  states=$(sed -nE 's/^ *([0-9.e+]+) states, stored.*/\1/p' "$log")
  echo "$name: $errors errors, ${states:-?} states"
  [[ $errors -eq 0 ]] || grep -E '^pan:[0-9]+:' "$log" || true
  [[ $errors -eq 0 ]]
}

spin -a "$@" "$model" >spin.log 2>&1 || { cat spin.log; exit 1; }
[[ -f pan.c ]] || { cat spin.log; exit 1; }

# Each property that is checked. One violation is enough for a broken variant.
found=0
safety() {
  verify "$@" || found=1
}
liveness() {
  [[ $expected == caught && $found -eq 1 ]] || verify "$1" "$2 -DNOFAIR" "$3" ||
    verify "$1-fair" "$2 -DNFAIR=4" "$3 -f" || found=1
}

safety safety "-DSAFETY -DNOCLAIM" ""

# Without comments, and with only what the defines leave in.
source=$("${CC:-cc}" -E -P -x c "$@" "$model")
labels() { grep -qE "\\b$1[A-Za-z0-9_]*[[:space:]]*:" <<<"$source"; }
formulas=$(sed -nE 's/^[[:space:]]*ltl[[:space:]]+([A-Za-z0-9_]+).*/\1/p' <<<"$source")

for formula in $formulas; do
  liveness "$formula" "" "-a -N $formula"
done
if labels accept; then
  liveness acceptance "-DNOCLAIM" "-a"
fi
if labels progress || { [[ -z $formulas ]] && ! labels accept; }; then
  liveness progress "-DNP -DNOCLAIM" "-l"
fi

if [[ $expected == holds && $found -eq 1 ]]; then
  echo "FAILED: ${model##*/} $*: a property is violated"
  exit 1
fi
if [[ $expected == caught && $found -eq 0 ]]; then
  echo "FAILED: ${model##*/} $*: the broken variant was not caught"
  exit 1
fi
echo "ok: ${model##*/} $*: $expected"
