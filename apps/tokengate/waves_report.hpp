// SPDX-License-Identifier: Apache-2.0
/// @file
/// The main job's figures as table, JSON and drawing.
#pragma once

#include <string>

#include "report.hpp"
#include "waves.hpp"

namespace tokengate::app {

void print_waves_header(bool baseline);
void print_wave(const wave_result& wave);
void print_waves_summary(const waves_result& result);

[[nodiscard]] json waves_json(const waves_result& result);
[[nodiscard]] std::string waves_svg(const waves_result& result);

}  // namespace tokengate::app
