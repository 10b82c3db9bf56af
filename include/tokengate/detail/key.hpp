// SPDX-License-Identifier: Apache-2.0
/// @file
/// Hashes of the arguments of a call, for sticky keys.
///
/// Hashes differ from process to process (absl::Hash mixes in an address): compare and index with
/// them, never store or send them.
#pragma once

#include <absl/hash/hash.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace tokengate::detail {

/// What absl can hash: a type with AbslHashValue or std::hash, and standard containers, pairs and
/// tuples of those. Unordered containers have equal hashes in whatever order they hold their
/// elements.
template <class T>
inline constexpr bool is_hashable = std::is_default_constructible_v<absl::Hash<T>>;

// What it cannot, or not as keys need it. Each has a key_hash() below.
template <class T>
inline constexpr bool is_hashable<std::reference_wrapper<T>> = true;
template <>
inline constexpr bool is_hashable<std::string_view> = true;
template <class T>
inline constexpr bool is_hashable<std::optional<T>> = is_hashable<T>;
template <class... T>
inline constexpr bool is_hashable<std::variant<T...>> = (is_hashable<T> && ...);
template <class Count, class Unit>
inline constexpr bool is_hashable<std::chrono::duration<Count, Unit>> = is_hashable<Count>;
template <class Clock, class Duration>
inline constexpr bool is_hashable<std::chrono::time_point<Clock, Duration>> = is_hashable<Duration>;

/// A type whose objects can be arguments of a keyed call: what absl can hash, and std::ref,
/// durations, time points, and an optional or a variant of all these.
///
/// Pointers, smart pointers and std::ref stand for the object itself: the key is its address, so
/// that a change of its content does not change the key. (A std::ref inside a container or a tuple
/// is hashed by absl, by content.) A `const char*` parameter is a pointer like any other; take
/// std::string or std::string_view, which have equal hashes, to make the text the key.
template <class T>
concept hashable = is_hashable<T>;

template <class H, class T>
H key_hash(H state, const T& value) {
    return H::combine(std::move(state), value);
}
template <class H, class T>
H key_hash(H state, const std::reference_wrapper<T>& value) {
    return H::combine(std::move(state), std::addressof(value.get()));
}
template <class H>
H key_hash(H state, const std::string_view& value) {
    return H::combine(std::move(state), absl::string_view(value.data(), value.size()));
}
template <class H, class Count, class Unit>
H key_hash(H state, const std::chrono::duration<Count, Unit>& value) {
    return H::combine(std::move(state), value.count());
}
template <class H, class Clock, class Duration>
H key_hash(H state, const std::chrono::time_point<Clock, Duration>& value) {
    return H::combine(std::move(state), value.time_since_epoch().count());
}
template <class H, class T>
H key_hash(H state, const std::optional<T>& value);
template <class H, class... T>
H key_hash(H state, const std::variant<T...>& value);

template <class H, class T>
H key_hash(H state, const std::optional<T>& value) {
    state = H::combine(std::move(state), value.has_value());
    return value ? key_hash(std::move(state), *value) : std::move(state);
}
template <class H, class... T>
H key_hash(H state, const std::variant<T...>& value) {
    state = H::combine(std::move(state), value.index());
    if (value.valueless_by_exception()) return state;
    return std::visit([&state](const auto& content) { return key_hash(std::move(state), content); },
                      value);
}

/// An argument on its way into a hash.
template <hashable T>
struct key_part {
    const T& value;

    // NOLINTBEGIN(readability-identifier-naming): the name that absl looks for
    template <class H>
    friend H AbslHashValue(H state, const key_part& part) {
        return key_hash(std::move(state), part.value);
    }
    // NOLINTEND(readability-identifier-naming)
};

/// The hash of a call's arguments in their order, from a seed on: equal seeds and arguments have
/// equal hashes. The arguments are of the types that the token stores (as_parameter_untouched()
/// makes them so).
///
/// Two hashes from different seeds make a fingerprint. They are independent for numbers, pointers
/// and strings of up to 16 bytes; absl hashes longer strings, and the elements of unordered
/// containers, to 64 bits before the seed comes in, so that two calls that differ in nothing else
/// have equal fingerprints with a probability of 2^-64.
///
/// Cost: about a nanosecond for each number or 8 bytes of text; takes no memory. Throws what the
/// hash functions of the user's types throw.
template <hashable... D>
[[nodiscard]] std::uint64_t hash_arguments(std::uint64_t seed, const D&... arguments) {
    return absl::HashOf(seed, key_part<D>{arguments}...);
}

/// Where the keys of an operation or an anchor begin: a seed for hash_arguments(). `kind` keeps
/// names of different meaning apart, `number` makes different seeds for one name.
[[nodiscard]] inline std::uint64_t hash_name(std::string_view name, unsigned kind,
                                             unsigned number) {
    return absl::HashOf(number, kind, name);
}

/// An argument as the token will store it, for its hash: itself if it has the type already,
/// otherwise converted, so that a literal for a std::string parameter is hashed as the string that
/// it becomes. It is copied for that if it can be, so that the argument remains as it was; what can
/// only be moved is moved.
template <class D, class A>
    requires std::is_same_v<D, std::decay_t<D>>
[[nodiscard]] decltype(auto) as_parameter_untouched(A&& argument) {
    if constexpr (std::is_same_v<std::remove_cvref_t<A>, D>) {
        return std::forward<A>(argument);  // a reference: nothing is copied or moved
    } else if constexpr (std::is_constructible_v<D, const std::remove_reference_t<A>&>) {
        return D(std::as_const(argument));
    } else {
        return D(std::forward<A>(argument));
    }
}

}  // namespace tokengate::detail
