#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Help is there, and a wrong command line is refused with status 2 and a message that helps.
# shellcheck source=expect.sh
source "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

# refused TEXT... -- ARGUMENT...: status 2, nothing on standard output, these texts as the message.
refused() {
  local texts=()
  while [[ $1 != -- ]]; do
    texts+=("$1")
    shift
  done
  shift
  run "$@"
  expect_status 2
  expect_silent out
  expect_err 'tokengate: ' "${texts[@]}"
}

run --help
expect_status 0
expect_silent err
expect_out waves pi burst topology 'Exit codes'

run --version
expect_status 0
expect_out 'tokengate '

for subcommand in waves pi burst topology storm chain soak; do
  run "$subcommand" --help
  expect_status 0
  expect_silent err
  expect_out "Usage: tokengate $subcommand" --json --cores
done
run waves --help
expect_out --workers-per-core --seed --no-baseline --svg --waves
run pi --help
expect_out --terms --chunk --digits
run burst --help
expect_out --seconds --seed
run topology --help
expect_out --scope --synthetic --xml

# Without a subcommand there is only help.
run
expect_status 2
expect_silent out
expect_err 'Usage: tokengate'

refused "'wavs'" 'waves, pi, burst, topology' -- wavs
refused "''" -- ''
refused -- --bogus
refused --bogus 'tokengate waves --help' -- waves --bogus
refused extra -- pi extra
refused --cores -- waves --cores
refused --cores abc -- waves --cores abc

for subcommand in waves pi burst topology storm chain soak; do
  refused 'cores is 0' '1 to 1024' -- "$subcommand" --cores 0
  refused 'cores is -1' '1 to 1024' -- "$subcommand" --cores -1
done
refused 'cores is 1025' '1 to 1024' -- waves --cores 1025
refused workers_per_core '1 to 64' -- waves --workers-per-core 0
refused workers_per_core '1 to 64' -- burst --workers-per-core -3
refused 'cores' 'workers_per_core' '4096' -- waves --cores 1024 --workers-per-core 64

refused --waves '1 to 20' -- waves --waves 0
refused --waves '1 to 20' -- waves --waves 21
refused --seed -- waves --seed -1
refused --terms '1 to 10^9' -- pi --terms 0
refused --terms '1 to 10^9' -- pi --terms -5
refused --chunk '1 to 10^9' -- pi --chunk 0
refused --digits '30,50,100,200' -- pi --digits 51
refused --seconds 86400 -- burst --seconds -1
refused --seconds 86400 -- burst --seconds nan
refused --scope 'core,l2,l3,numa' -- topology --scope socket

# The environment is checked like the command line.
TOKENGATE_CORES=many refused TOKENGATE_CORES many '1 to 1024' -- waves --waves 1
TOKENGATE_CORES=0 refused TOKENGATE_CORES '1 to 1024' -- burst --seconds 0
HWLOC_SYNTHETIC='pack:2 nonsense:4' refused 'pack:2 nonsense:4' HWLOC_SYNTHETIC -- waves --waves 1
HWLOC_SYNTHETIC='pack:2 nonsense:4' refused 'pack:2 nonsense:4' HWLOC_SYNTHETIC -- topology
refused 'nonsense:4' -- topology --synthetic 'nonsense:4'
refused "$work/absent.xml" 'No such file' -- topology --xml "$work/absent.xml"

# A drawing that cannot be written is found before the run.
refused "'$work/absent/drawing.svg'" 'No such file or directory' -- \
  waves --svg "$work/absent/drawing.svg"
refused "'$work'" 'Is a directory' -- waves --svg "$work"
refused 'No such file' -- waves --svg ''
touch "$work/kept.svg"
echo before >"$work/kept.svg"
refused 'cores is 0' -- waves --cores 0 --svg "$work/kept.svg"
expect_true 'the file of a run that was refused is as it was' grep -qx before "$work/kept.svg"
refused 'cores is 0' -- waves --cores 0 --svg "$work/fresh.svg"
expect_true 'a run that was refused leaves no file' test ! -e "$work/fresh.svg"

if [[ -w /dev/full ]]; then
  shown='tokengate --version >/dev/full'
  status=0
  "$binary" topology >/dev/full 2>"$work/err" || status=$?
  expect_status 1
  expect_err 'standard output'
fi

finish
