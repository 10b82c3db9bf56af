#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Can somebody outside use TokenGate? Builds and runs a small program in one of three ways:
#
#   install_check.sh pkg-config   the installed library, by a plain compiler call
#   install_check.sh meson        the installed library, from a Meson project
#   install_check.sh subproject   the source tree, as a subproject of a Meson project
#
# Environment: SOURCE and BUILD (the folders of the tree and of its build), CXX, MESON.
set -euo pipefail

way=${1:?usage: install_check.sh pkg-config | meson | subproject}
: "${SOURCE:?}" "${BUILD:?}"
read -ra compiler <<<"${CXX:-c++}"
meson=${MESON:-meson}

# Meson points this at the build folder; only what was installed may be found.
unset LD_LIBRARY_PATH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/outside"
cd "$work/outside"
cat >main.cpp <<'EOF'
#include <tokengate/tokengate.hpp>
namespace tg = tokengate;

int main() {
    tg::runtime rt;
    auto add = rt.operation("add", {.weight = tg::weight::light}, [](int a, int b) { return a + b; });
    tg::token<int> sum = add(40, 2);
    return sum.get() == 42 ? 0 : 1;
}
EOF
cat >meson.build <<'EOF'
project('outside', 'cpp', default_options: ['cpp_std=c++20'])
executable('outside', 'main.cpp', dependencies: dependency('tokengate', version: '>=0.1'))
EOF

# quietly COMMAND...: shows what it printed only if it failed.
quietly() {
  "$@" >"$work/log" 2>&1 || { cat "$work/log"; echo "FAILED: $*"; exit 1; }
}

if [[ $way != subproject ]]; then
  quietly "$meson" install -C "$BUILD" --no-rebuild --destdir "$work/root"
  pc=$(find "$work/root" -name tokengate.pc)
  [[ -n $pc ]] || { echo "FAILED: no tokengate.pc was installed"; exit 1; }
  # The folder is a system root: pkg-config puts it before the paths that it prints.
  export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$work/root
  export LD_LIBRARY_PATH=${pc%/pkgconfig/*}
fi

case $way in
  pkg-config)
    read -ra flags <<<"$(pkg-config --cflags --libs tokengate)"
    quietly "${compiler[@]}" -std=c++20 -Wall -Wextra -Wpedantic -Werror main.cpp "${flags[@]}" -o program
    program=./program
    ;;
  meson)
    quietly "$meson" setup build
    quietly "$meson" compile -C build
    program=build/outside
    ;;
  subproject)
    # A copy without build folders. Not optimised: this is about the build, not about speed.
    mkdir -p subprojects/tokengate
    tar -C "$SOURCE" --exclude='./build*' --exclude=./.git -cf - . | tar -C subprojects/tokengate -xf -
    cat >subprojects/tokengate.wrap <<'EOF'
[wrap-file]
directory = tokengate

[provide]
dependency_names = tokengate
EOF
    quietly "$meson" setup build --buildtype=plain --force-fallback-for=tokengate
    quietly "$meson" compile -C build
    program=build/outside
    ;;
  *)
    echo "unknown way: $way" >&2
    exit 2
    ;;
esac

quietly timeout 60 "$program"
echo "ok: $way"
