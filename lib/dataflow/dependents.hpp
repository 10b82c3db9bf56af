// SPDX-License-Identifier: Apache-2.0
/// @file
/// Tokens that wait for others, for those who kill them. Protocol: README.md.
#pragma once

#include <cstddef>
#include <exception>
#include <string_view>

#include <tokengate/detail/node.hpp>

namespace tokengate::detail {

class backlog;

/// Kills the tokens of an operation that wait for others: those that are condemned, or all. How
/// many died; all of them are counted. Cost: a look at each continuation of the process.
std::size_t kill_waiters(const operation_core& operation, const backlog* condemning,
                         std::string_view reason) noexcept;

/// The dependency_failed of a token because of one that has ended without a result; std::bad_alloc
/// without memory.
[[nodiscard]] std::exception_ptr failure_of_input(const token_node& dependent,
                                                  token_node& ended) noexcept;

}  // namespace tokengate::detail
