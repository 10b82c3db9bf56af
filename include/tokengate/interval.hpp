// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a loop goes over, and into how large blocks it is cut.
#pragma once

#include <concepts>
#include <cstddef>
#include <iterator>
#include <type_traits>

namespace tokengate {

/// The numbers from `first` up to but not including `last`; none if `last` is not above `first`.
/// Two numbers: cheap to copy. From apps/examples/parallel_for.cpp:
/// @code
/// for (const std::size_t i : block) all += values[i];
/// @endcode
struct interval {
    std::size_t first = 0;  ///< the first number
    std::size_t last = 0;   ///< the one behind the last

    /// How many numbers.
    [[nodiscard]] constexpr std::size_t size() const noexcept {
        return first < last ? last - first : 0;
    }

    /// True if there are none.
    [[nodiscard]] constexpr bool empty() const noexcept { return first >= last; }

    /// Goes through the numbers. Its types are those that the standard library asks for.
    class iterator {
      public:
        using iterator_category = std::forward_iterator_tag;  ///< may be copied, to begin there
        using value_type = std::size_t;                       ///< a number
        using difference_type = std::ptrdiff_t;               ///< how far it is from one to another
        using pointer = const std::size_t*;                   ///< there is nothing to point to
        using reference = std::size_t;                        ///< the number itself

        /// At 0.
        constexpr iterator() noexcept = default;
        /// At this number.
        constexpr explicit iterator(std::size_t at) noexcept : at_(at) {}
        /// The number that it is at.
        constexpr std::size_t operator*() const noexcept { return at_; }
        /// Goes to the next one.
        constexpr iterator& operator++() noexcept {
            ++at_;
            return *this;
        }
        /// The same; returns where it was.
        constexpr iterator operator++(int) noexcept { return iterator(at_++); }
        /// True if both are at the same number.
        constexpr bool operator==(const iterator&) const noexcept = default;

      private:
        std::size_t at_ = 0;
    };
    /// At the first number.
    [[nodiscard]] constexpr iterator begin() const noexcept { return iterator(first); }
    /// Behind the last one.
    [[nodiscard]] constexpr iterator end() const noexcept {
        return iterator(empty() ? first : last);
    }

    /// True if both have the same `first` and the same `last`.
    constexpr bool operator==(const interval&) const noexcept = default;
};

/// See tokengate::automatic_grain.
struct automatic_grain_tag {};

/// As a grain: blocks of equal size, 16 for each worker of the runtime, or one for each place of an
/// affinity. For loops whose elements take much the same time.
inline constexpr automatic_grain_tag automatic_grain{};

namespace detail {

[[noreturn]] void throw_wrong_grain(long long elements);

}  // namespace detail

/// How many elements of a loop make a block, which is what a worker takes at once: 1 or more, or
/// automatic_grain. A block costs up to some hundred nanoseconds, so that one that takes some
/// microseconds costs little; and there should be some blocks for each worker.
class grain_size {
  public:
    /// So many, 1 or more; the last block may have fewer.
    /// @throws error if it is below 1
    template <std::integral Number>
    constexpr grain_size(Number elements) : elements_(static_cast<std::size_t>(elements)) {
        if (elements < Number{1}) detail::throw_wrong_grain(static_cast<long long>(elements));
    }
    /// As many as automatic_grain says.
    constexpr grain_size(automatic_grain_tag) noexcept {}

    /// 0: automatic.
    [[nodiscard]] constexpr std::size_t elements() const noexcept { return elements_; }

  private:
    std::size_t elements_ = 0;
};

}  // namespace tokengate
