// SPDX-License-Identifier: Apache-2.0
/// @file
/// Sticky keys that stay pinned although no token with them is in flight.
#pragma once

#include <utility>

#include <tokengate/detail/node.hpp>

namespace tokengate {

/// Holds a sticky key: while it lives, tokens with an equal key are placed in one domain, as if one
/// of them were in flight all the time. For data that one core should keep in its cache from one
/// round of tokens to the next. Made by operation::hold(). From apps/examples/sticky.cpp:
/// @code
/// homes[i] = raise.hold(i);  // this shard stays in one domain from now on
/// @endcode
///
/// A hold must not outlive its runtime. Different holds may be used from any threads.
class key_hold {
  public:
    /// Holds nothing.
    key_hold() noexcept = default;
    /// Takes over the key of `other`, which holds nothing from then on.
    key_hold(key_hold&& other) noexcept : held_(std::exchange(other.held_, {})) {}
    /// The same; lets go of the key that this has held.
    key_hold& operator=(key_hold other) noexcept {
        std::swap(held_, other.held_);
        return *this;
    }
    /// Lets go of the key.
    ~key_hold() { detail::let_go(held_); }

    /// True if it holds a key.
    [[nodiscard]] explicit operator bool() const noexcept { return held_.runtime != nullptr; }

    /// The domain in which tokens with this key run; 0 if it holds none.
    [[nodiscard]] unsigned domain() const noexcept { return held_.domain; }

    /// Takes over a key; for the library.
    static key_hold adopt(detail::held_key key) noexcept {
        key_hold made;
        made.held_ = key;
        return made;
    }

  private:
    detail::held_key held_;
};

}  // namespace tokengate
