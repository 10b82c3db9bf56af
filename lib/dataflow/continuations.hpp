// SPDX-License-Identifier: Apache-2.0
/// @file
/// The continuations of all tokens of the process. Protocol: README.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include <tokengate/detail/continuation.hpp>

namespace tokengate::detail {

/// A table by the address of the token, in parts with a mutex each.
///
/// Thread safety: any thread. Cost: a mutex that few share, and a look into a hash table.
class continuations {
  public:
    /// See detail::attach() and detail::detach().
    [[nodiscard]] static bool attach(continuation& which) noexcept;
    static bool detach(continuation& which) noexcept;

    /// A token has ended, and its word has said that there are some: tells all of them, or has a
    /// call of this further out on this stack do so.
    static void tell(const token_node& ended) noexcept;

    /// While one lives, what this thread is to tell waits: it holds something.
    class later {
      public:
        later() noexcept;
        ~later();
        later(const later&) = delete;
        later& operator=(const later&) = delete;

      private:
        const bool outermost_;
    };

    /// Calls visit(continuation&) for each that is attached, with the mutex of its part held.
    template <class Visit>
    static void for_each(Visit&& visit) {
        for (part& each : parts) {
            const std::scoped_lock guard(each.lock);
            each.for_each(visit);
        }
    }

    /// Makes fork() take all mutexes first.
    /// @throws std::bad_alloc
    static void survive_fork();

  private:
    /// Some of the tokens. All under its mutex. Each bucket has the first continuation of each of
    /// its tokens, and each of those the others of the token.
    class part {
      public:
        void add(continuation& which) noexcept;
        void remove(continuation& which) noexcept;
        /// All of a token that has ended, as a ring; null if there are none.
        [[nodiscard]] continuation* take(const token_node& token) noexcept;
        template <class Visit>
        void for_each(Visit&& visit) {
            for (std::size_t b = 0; b < size_; ++b) {
                for (continuation* first = buckets()[b]; first != nullptr;) {
                    continuation* const after = first->next_group;
                    continuation* each = first;
                    do {
                        visit(*each);
                        each = each->next;
                    } while (each != first);
                    first = after;
                }
            }
        }

        std::mutex lock;

      private:
        static constexpr std::size_t fewest = 8;

        [[nodiscard]] continuation** buckets() noexcept {
            return more_ != nullptr ? more_ : few_.data();
        }
        [[nodiscard]] continuation*& bucket_of(const token_node& token) noexcept;
        [[nodiscard]] continuation** link_to(const token_node& token) noexcept;
        void grow() noexcept;
        void shrink() noexcept;
        void rehash(continuation** into, std::size_t size) noexcept;

        std::array<continuation*, fewest> few_{};
        continuation** more_ = nullptr;  ///< when those are too few
        std::size_t size_ = fewest;      ///< a power of two
        std::size_t tokens_ = 0;
    };

    [[nodiscard]] static part& part_of(const token_node& token) noexcept;
    static void tell_all() noexcept;

    static std::array<part, 64> parts;
};

}  // namespace tokengate::detail
