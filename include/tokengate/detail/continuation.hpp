// SPDX-License-Identifier: Apache-2.0
/// @file
/// Who is to be told that a token has ended.
#pragma once

#include <cstddef>

#include <tokengate/detail/node.hpp>

namespace tokengate::detail {

/// Memory for what waits for tokens: pieces of their pool.
/// @throws std::bad_alloc
[[nodiscard]] void* allocate_piece(std::size_t bytes);
void free_piece(void* piece, std::size_t bytes) noexcept;

/// Sees tokens that wait for others.
class waiter_visitor {
  public:
    waiter_visitor() = default;
    virtual ~waiter_visitor() = default;
    waiter_visitor(const waiter_visitor&) = delete;
    waiter_visitor& operator=(const waiter_visitor&) = delete;

    /// It stays as long as this runs, which must not end it.
    virtual void see(token_node& waiting) = 0;
};

/// Somebody who is told, once, that a token has ended. Protocol: lib/dataflow/README.md.
///
/// Whoever attaches it holds a reference to the token, and keeps both, until it has been told or
/// detached.
struct continuation {
    /// Called on the thread that has ended the token, with nothing held. It may end others; it must
    /// not block.
    void (*tell)(continuation&) noexcept = nullptr;
    token_node* awaited = nullptr;
    /// Shows the token that waits by this, if there is one; with the mutex of the table held. Null:
    /// none ever does.
    void (*show)(continuation&, waiter_visitor&) = nullptr;

    // The table's.
    bool attached = false;
    continuation* next_group = nullptr;  ///< the next token of its bucket; of the first of a token
    continuation* next = nullptr;        ///< of the same token: a ring
    continuation* previous = nullptr;
};

/// What a continuation is the base of.
template <class T>
[[nodiscard]] T& owner_of(continuation& which) noexcept {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): `tell` knows whose it is.
    return static_cast<T&>(which);
}

/// From now on it will be told. False: it will not, since the token has ended already. Takes a
/// lock.
[[nodiscard]] bool attach(continuation& which) noexcept;

/// From now on it will not be told. False: it has been, or is about to be. Takes a lock.
bool detach(continuation& which) noexcept;

}  // namespace tokengate::detail
