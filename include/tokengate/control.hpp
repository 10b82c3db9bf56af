// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a callable may ask of the token that it runs in.
#pragma once

#include <functional>
#include <stop_token>
#include <utility>

namespace tokengate {

/// The token that the calling thread executes, the innermost one if it runs others while one waits.
/// Threads that execute none, those of a nested tbb::parallel_for among them, get the answer for no
/// token: pass them a stop token.
namespace this_token {

/// True if the token was killed or timed out: its result is wanted no more, so that the callable
/// had better return. Cost: a thread-local variable and two loads.
[[nodiscard]] bool stop_requested() noexcept;

/// A stop token that is told when the token is killed or timed out; outside of tokens, one that
/// never is. A callable whose first parameter is a std::stop_token is given this one. Callbacks run
/// on the thread that kills, or that keeps the time, and must not wait for tokens or the runtime.
/// Cost: an allocation the first time in each run of a callable. From
/// apps/examples/kill_and_pause.cpp:
/// @code
/// auto search = rt.operation("search", [&](const std::stop_token& stop, std::size_t from) {
///     while (!stop.stop_requested()) ++looked_at[from];  // until somebody else has found it
/// });
/// @endcode
/// @throws std::bad_alloc
[[nodiscard]] std::stop_token stop_token();

/// Which attempt this is, from 1 on; 0 outside of tokens. Cost: as stop_requested().
[[nodiscard]] unsigned attempt() noexcept;

/// The domain whose worker executes it; 0 outside of tokens. Cost: as stop_requested(). From
/// apps/examples/parallel_for.cpp:
/// @code
/// if (tg::this_token::domain() == homes.domain(block.first / grain)) at_home.fetch_add(1);
/// @endcode
[[nodiscard]] unsigned domain() noexcept;

}  // namespace this_token

namespace detail {

/// A callable whose first parameter is a std::stop_token, as one without it.
template <class F, class R, class... P>
class stoppable {
  public:
    explicit stoppable(F source) : callable_(std::move(source)) {}

    R operator()(P... args) {
        return std::invoke(callable_, this_token::stop_token(), std::forward<P>(args)...);
    }

  private:
    F callable_;
};

}  // namespace detail

}  // namespace tokengate
