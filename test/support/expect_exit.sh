#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# expect_exit.sh CODE PROGRAM [ARGUMENT]...: the program must end with that exit code, and where
# that is not 0, it must have said why on standard error.
set -uo pipefail

expected=${1:?usage: expect_exit.sh CODE PROGRAM [ARGUMENT]...}
shift
complaint=$("$@" 2>&1 >/dev/null </dev/null)
code=$?
if [[ $code -ne $expected ]]; then
  echo "FAILED: exit code $code instead of $expected: $*"
  echo "$complaint"
  exit 1
fi
if [[ $code -ne 0 && -z $complaint ]]; then
  echo "FAILED: ended with $code without a word: $*"
  exit 1
fi
echo "ok: exit code $code: ${complaint%%$'\n'*}"
