#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Is a mistake refused by the compiler, and for the right reason?
#
#   check.sh SOURCE MESSAGE MACRO...
#
# SOURCE must compile as it is, and must not with any one of the macros defined; the compiler must
# say MESSAGE then. Environment: CXX (the compiler) and INCLUDE (our headers).
set -euo pipefail

source=${1:?usage: check.sh SOURCE MESSAGE MACRO...}
message=${2:?}
shift 2
read -ra compiler <<<"${CXX:-c++} $(pkg-config --cflags absl_hash || true)"

# compile [OPTION]...: true if it does; prints what the compiler says.
compile() { "${compiler[@]}" -std=c++20 -fsyntax-only "-I${INCLUDE:?}" "$@" "$source" 2>&1; }

if ! said=$(compile); then
  printf '%s\nFAILED: does not compile as it is\n' "$said"
  exit 1
fi
for macro in "$@"; do
  if said=$(compile "-D$macro"); then
    echo "FAILED: compiles with $macro"
    exit 1
  fi
  if [[ $said != *"$message"* ]]; then
    printf '%s\nFAILED: with %s the compiler does not say: %s\n' "$said" "$macro" "$message"
    exit 1
  fi
done
echo "ok: $# mistakes refused"
