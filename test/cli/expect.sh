# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the tests of the command line share. They source this file; their first argument is the
# binary. A failed expectation is reported and counted, and the test goes on; `finish` ends it.
set -uo pipefail

binary=${1:?usage: $0 PATH_OF_TOKENGATE}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work

# The tests say themselves which settings hold.
for variable in $(compgen -e); do
  case $variable in TOKENGATE_* | HWLOC_*) unset "$variable" ;; esac
done

failures=0
checks=0
status=0
shown=''

complain() {
  failures=$((failures + 1))
  {
    printf 'FAILED: %s\n  ran: %s (exit status %s)\n' "$1" "$shown" "$status"
    sed 's/^/  out: /' "$work/out" | head -n 40
    sed 's/^/  err: /' "$work/err" | head -n 40
  } >&2
}

# run ARGUMENT...: runs the binary; its output is there for the expectations that follow. Put
# NAME=VALUE before it for the environment.
run() {
  shown="tokengate $*"
  status=0
  "$binary" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
}

# run_until TEXT ARGUMENT...: the same, fifty times at most, until this text is somewhere on standard
# output or standard error: what depends on which threads meet is seen sooner or later.
run_until() {
  local tries
  for tries in {1..50}; do
    run "${@:2}"
    grep -qE -- "$1" "$work/out" "$work/err" && break
  done
  shown+=" (try $tries)"
}

expect_status() {
  checks=$((checks + 1))
  [[ $status -eq $1 ]] || complain "exit status $1"
}

# expect_out TEXT...: each of these texts is somewhere on standard output. Likewise expect_err.
expect_in() {
  local file=$1 text
  shift
  for text in "$@"; do
    checks=$((checks + 1))
    grep -qF -- "$text" "$work/$file" || complain "'$text' on std$file"
  done
}
expect_out() { expect_in out "$@"; }
expect_err() { expect_in err "$@"; }

# Nothing at all on standard output or standard error.
expect_silent() {
  checks=$((checks + 1))
  [[ ! -s $work/$1 ]] || complain "nothing on std$1"
}

# The last line of standard output is exactly this.
expect_last_line() {
  checks=$((checks + 1))
  [[ $(tail -n 1 "$work/out") == "$1" ]] || complain "last line '$1'"
}

# expect_json EXPRESSION...: standard output is one JSON object of finite numbers, and these Python
# expressions over it, as `d`, are true.
expect_json() {
  local expression
  for expression in "$@"; do
    checks=$((checks + 1))
    python3 - "$work/out" "$expression" <<'PYTHON' || complain "JSON with $expression"
import json, sys

def refuse(name):
    raise ValueError(f"{name} is not a finite number")

d = json.load(open(sys.argv[1]), parse_constant=refuse)
assert isinstance(d, dict)
assert eval(sys.argv[2]), sys.argv[2]
PYTHON
  done
}

# expect_true WHAT COMMAND...
expect_true() {
  local what=$1
  shift
  checks=$((checks + 1))
  "$@" || complain "$what"
}

finish() {
  printf '%s checks, %s failed\n' "$checks" "$failures"
  [[ $checks -gt 0 && $failures -eq 0 ]]
  exit
}
