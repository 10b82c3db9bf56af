// SPDX-License-Identifier: Apache-2.0
/// @file
/// A wait for the end of a token that may be given up at any time. Protocol: lib/senders/README.md.
#pragma once

#include <atomic>
#include <cstdint>

#include <tokengate/detail/continuation.hpp>

namespace tokengate::detail {

/// Part of an operation state that waits for a token, which that holds. It is over once: the token
/// has ended, or somebody has asked to stop before that.
class end_watch : public continuation {
  public:
    enum class outcome : std::uint8_t { ended, stopped };

    /// @param over  called once, unless begin() says no; the watch may be gone when it returns
    end_watch(token_node& node, void (*over)(end_watch&, outcome) noexcept) noexcept;
    end_watch(const end_watch&) = delete;
    end_watch& operator=(const end_watch&) = delete;

    /// From now on it will be told of the end. False: the token has ended already. Takes a lock.
    [[nodiscard]] bool begin() noexcept { return attach(*this); }

    /// After begin(), when whatever may call stop() is in place: from now on it may be over, and
    /// is, if the end or a stop has come meanwhile.
    void ready() noexcept;

    /// The token is waited for no more, unless it has ended before. After begin(), once, on any
    /// thread; unless over() is called by this, it may not be done before this has returned. Takes
    /// a lock.
    void stop() noexcept;

    /// Instead of all that, if the token has ended already: it is over now or, when too many are
    /// inside each other on this stack, when some of them have returned.
    void over_in_turn() noexcept;

  protected:
    ~end_watch() = default;

  private:
    void take(std::uint8_t step, outcome how) noexcept;

    void (*const over_)(end_watch&, outcome) noexcept;
    std::atomic<std::uint8_t> steps_{0};
};

}  // namespace tokengate::detail
