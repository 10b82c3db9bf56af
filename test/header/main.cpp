// SPDX-License-Identifier: Apache-2.0
// That this program was compiled and linked is the test; see meson.build.
int main() { return 0; }
