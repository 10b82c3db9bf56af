#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# More workers than the system can start: a clear error, neither an abort nor a hang.
# shellcheck source=expect.sh
source "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

# 2048 stacks of 8 MiB do not fit into 3 GB of address space. A sanitized binary does not either.
ulimit -S -s 8192
ulimit -S -v 3000000
run --version
if [[ $status -ne 0 ]]; then
  echo 'skipped: this binary does not start with so little address space'
  exit 77
fi

run waves --waves 2 --cores 64 --workers-per-core 32
expect_true 'exit status 1 or 2' test "$status" -eq 1 -o "$status" -eq 2
expect_err 'tokengate: ' worker thread
expect_silent out

# Wherever memory ends on the way, in the thread that starts the others or in one of them.
for size in $(seq 2900000 -100000 1000000); do
  ulimit -S -v "$size"
  run waves --waves 2 --cores 64 --workers-per-core 32 --no-baseline
  expect_true "exit status 0, 1 or 2 with $size KiB" test "$status" -le 2
done
ulimit -S -v 3000000

# What was started has been ended: the same shell can go on.
run waves --waves 2 --cores 2 --no-baseline
expect_status 0

finish
