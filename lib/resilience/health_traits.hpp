// SPDX-License-Identifier: Apache-2.0
/// @file
/// Which traits that watch an operation make sense. Each function tells every wrong field with what
/// is allowed, and nothing if there is none.
#pragma once

#include <string>

#include <tokengate/health.hpp>

namespace tokengate::detail {

[[nodiscard]] std::string complain(const health_limits& limits);
[[nodiscard]] std::string complain(const spike_limits& limits);

}  // namespace tokengate::detail
