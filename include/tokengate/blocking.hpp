// SPDX-License-Identifier: Apache-2.0
/// @file
/// Tokens that block in something that the runtime does not see.
#pragma once

#include <concepts>
#include <functional>
#include <utility>

#include <tokengate/detail/node.hpp>

namespace tokengate {

/// Runs `body`, which may block in input, output or a lock, and returns what it returns. If the
/// caller is a token, another thread runs tokens of its domain meanwhile, so that nothing that is
/// anchored there has to wait. From apps/examples/waiting.cpp:
/// @code
/// const std::string line = tg::blocking([&] { return read_line(source); });
/// @endcode
///
/// Any thread may call it; outside of tokens it just calls `body`. Cost: waking a thread, some ten
/// microseconds, the first time in a domain starting one. If there are `reserve_workers` blocked
/// tokens in the domain already, or the system gives no thread, `body` runs all the same, and the
/// domain has one worker less meanwhile; but not none, while a token waits in isolation for
/// another.
/// @throws what `body` throws
template <std::invocable Body>
decltype(auto) blocking(Body&& body) {
    const detail::blocking_section section;
    return std::invoke(std::forward<Body>(body));
}

}  // namespace tokengate
