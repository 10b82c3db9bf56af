// SPDX-License-Identifier: Apache-2.0
/// @file
/// Which calls of an operation with `duplicates::coalesce` are in flight. README.md, "Equal calls".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include <tokengate/detail/duplicate.hpp>
#include <tokengate/detail/node.hpp>

namespace tokengate::detail {

/// Values of calls and their tokens: for each value one token at most that is not terminal.
/// All under `lock`, which whoever has it takes before any other of the library but none of its
/// own: it is held while users' comparisons run.
class duplicate_table {
  public:
    /// The token of an equal call that has not ended; null if there is none.
    /// @throws what a comparison of users throws
    [[nodiscard]] token_node* find(const call_value& value) const;

    /// Adds a token; its node stays until take_out(). What it returns finds it again.
    /// @throws std::bad_alloc
    void add(token_node& node, std::unique_ptr<call_value> value);

    /// The value of a token, which is found no more; to be destroyed when the lock is free. The
    /// hash is that of its value.
    [[nodiscard]] std::unique_ptr<call_value> take_out(const token_node& node,
                                                       std::uint64_t hash) noexcept;

    std::mutex lock;

  private:
    struct entry {
        std::unique_ptr<call_value> value;
        token_node* node;
    };
    std::unordered_multimap<std::uint64_t, entry> by_hash_;
};

}  // namespace tokengate::detail
