// SPDX-License-Identifier: Apache-2.0
/// @file
/// How many bytes an argument takes, with what it holds.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>

namespace tokengate::detail {

/// A type that says itself how large an object is.
template <class T>
concept tells_its_size = requires(const T& value) {
    { argument_size(value) } -> std::convertible_to<std::size_t>;
};

/// A range that owns its elements and keeps them elsewhere. What is trivially copyable owns
/// nothing, or has it inside.
template <class T>
concept holding_range = std::ranges::sized_range<const T> && std::ranges::input_range<const T> &&
                        !std::ranges::view<T> &&
                        !std::is_trivially_copyable_v<T>;

template <class T>
inline constexpr bool is_std_array = false;
template <class T, std::size_t n>
inline constexpr bool is_std_array<std::array<T, n>> = true;

template <class T>
struct members_of;
template <class A, class B>
struct members_of<std::pair<A, B>> : std::type_identity<std::pair<A, B>> {};
template <class... T>
struct members_of<std::tuple<T...>> : std::type_identity<std::tuple<T...>> {};

/// A pair or a tuple.
template <class T>
concept has_members = requires {
    typename members_of<T>::type;
};

template <class T>
inline constexpr bool is_std_optional = false;
template <class T>
inline constexpr bool is_std_optional<std::optional<T>> = true;

/// How large objects are, with what they hold down to so many containers.
template <unsigned levels>
struct measure {
    /// The bytes that an object takes, itself included. Cost: proportional to the elements of
    /// containers whose elements differ in size. Throws what iterating or argument_size() throws.
    template <class T>
    [[nodiscard]] static std::size_t bytes(const T& value) {
        if constexpr (tells_its_size<T>) {
            return static_cast<std::size_t>(argument_size(value));
        } else if constexpr (is_std_array<T>) {
            return sizeof(T) + elements<levels>(value) - value.size() * element_bytes<T>;
        } else if constexpr (has_members<T>) {
            return std::apply(
                [](const auto&... member) {
                    // Modulo 2^64 on the way, if a type says that it is smaller than it is.
                    return (sizeof(T) + ... + (bytes(member) - sizeof(member)));
                },
                value);
        } else if constexpr (is_std_optional<T>) {
            return value ? sizeof(T) + bytes(*value) - sizeof(*value) : sizeof(T);
        } else if constexpr (levels > 0 && holding_range<T>) {
            return sizeof(T) + elements<levels - 1>(value);
        } else {
            return sizeof(T);
        }
    }

  private:
    template <class Range>
    static constexpr std::size_t element_bytes = sizeof(std::ranges::range_value_t<const Range>);

    template <unsigned deeper, class Range>
    [[nodiscard]] static std::size_t elements(const Range& range) {
        using element = std::ranges::range_value_t<const Range>;
        if constexpr (std::is_trivially_copyable_v<element> && !tells_its_size<element>) {
            return static_cast<std::size_t>(std::ranges::size(range)) * sizeof(element);
        } else {
            std::size_t sum = 0;
            for (const auto& each : range) sum += measure<deeper>::bytes(each);
            return sum;
        }
    }
};

/// The bytes of an argument, with what it holds; two containers deep.
template <class T>
[[nodiscard]] std::size_t bytes_of_argument(const T& value) noexcept {
    try {
        return measure<2>::bytes(value);
    } catch (...) {
        // It cannot be looked at; its own size is what is left.
        return sizeof(T);
    }
}

}  // namespace tokengate::detail
