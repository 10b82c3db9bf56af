// SPDX-License-Identifier: Apache-2.0
/// @file
/// The last executions of tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include <tokengate/detail/state_word.hpp>

namespace tokengate::detail {

/// One execution of a token's callable.
struct execution_record {
    std::uint64_t id = 0;        ///< of the token
    std::string_view operation;  ///< the name in its operation_label: to the end of the process
    token_state outcome = token_state::completed;
    unsigned domain = 0;        ///< where it ran
    std::int64_t start = 0;     ///< when it began, in nanoseconds of the steady clock
    std::int64_t wait = 0;      ///< nanoseconds from its submission, or retry, to that
    std::int64_t run = 0;       ///< nanoseconds that it took
    std::uint32_t attempt = 1;  ///< the first is 1

    bool operator==(const execution_record&) const = default;
};

/// The last so many executions, in the order in which they were pushed.
///
/// Thread safety: any thread may call anything; a lock of its own, held for a copy.
class history {
  public:
    /// @param capacity  executions that it keeps; with 0 it keeps none, and costs nothing
    /// @throws std::bad_alloc
    explicit history(std::size_t capacity);

    /// Takes the place of the oldest, if there is no other. Constant time, no memory.
    void push(const execution_record& newest) noexcept;

    /// All of them, newest first.
    /// @throws std::bad_alloc
    [[nodiscard]] std::vector<execution_record> snapshot() const;

    [[nodiscard]] std::size_t capacity() const noexcept { return ring_.size(); }

  private:
    mutable std::mutex lock_;
    std::vector<execution_record> ring_;  ///< its size never changes; the records under lock_
    std::size_t next_ = 0;                ///< under lock_: where the next one goes
    std::size_t held_ = 0;                ///< under lock_
};

}  // namespace tokengate::detail
