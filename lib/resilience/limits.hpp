// SPDX-License-Identifier: Apache-2.0
/// @file
/// Which limits make sense. Each function tells every wrong field with what is allowed, and nothing
/// if there is none.
#pragma once

#include <string>

#include <tokengate/resilience.hpp>

namespace tokengate::detail {

[[nodiscard]] std::string complain(const rate_limit& limit);
[[nodiscard]] std::string complain(const in_flight_limit& limit);
[[nodiscard]] std::string complain(storage kind);
[[nodiscard]] std::string complain(duplicates how);

}  // namespace tokengate::detail
