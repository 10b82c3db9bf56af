// SPDX-License-Identifier: Apache-2.0
/// @file
/// Properties of a type that hold if they hold for all its parts. Containers, pairs and tuples of
/// the standard library claim that they can be copied and compared whatever they hold, and fail to
/// compile if that is not so.
#pragma once

#include <any>
#include <array>
#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <tokengate/argument.hpp>

namespace tokengate::detail {

/// A container with an allocator, which holds values of a type of its own: the standard ones are,
/// strings too.
template <class T>
concept container = requires {
    typename T::allocator_type;
    typename T::value_type;
}
&&!std::is_same_v<std::remove_cv_t<typename T::value_type>, T>;

/// True if Leaf<P>::value for each part P that is no composite, and Whole<C>::value for each
/// composite C: T itself, what it holds, what that holds and so on.
template <template <class> class Whole, template <class> class Leaf, class T>
struct all_parts : std::bool_constant<Leaf<T>::value> {};

template <template <class> class Whole, template <class> class Leaf, class T>
struct all_parts<Whole, Leaf, const T> : all_parts<Whole, Leaf, T> {};

template <template <class> class Whole, template <class> class Leaf, container T>
struct all_parts<Whole, Leaf, T>
    : std::conjunction<all_parts<Whole, Leaf, typename T::value_type>, Whole<T>> {};

template <template <class> class Whole, template <class> class Leaf, class T, std::size_t n>
struct all_parts<Whole, Leaf, std::array<T, n>>
    : std::conjunction<all_parts<Whole, Leaf, T>, Whole<std::array<T, n>>> {};

template <template <class> class Whole, template <class> class Leaf, class A, class B>
struct all_parts<Whole, Leaf, std::pair<A, B>>
    : std::conjunction<all_parts<Whole, Leaf, A>, all_parts<Whole, Leaf, B>,
                       Whole<std::pair<A, B>>> {};

template <template <class> class Whole, template <class> class Leaf, class... T>
struct all_parts<Whole, Leaf, std::tuple<T...>>
    : std::conjunction<all_parts<Whole, Leaf, T>..., Whole<std::tuple<T...>>> {};

template <template <class> class Whole, template <class> class Leaf, class T>
struct all_parts<Whole, Leaf, std::optional<T>>
    : std::conjunction<all_parts<Whole, Leaf, T>, Whole<std::optional<T>>> {};

template <template <class> class Whole, template <class> class Leaf, class... T>
struct all_parts<Whole, Leaf, std::variant<T...>>
    : std::conjunction<all_parts<Whole, Leaf, T>..., Whole<std::variant<T...>>> {};

template <class T>
struct may_copy_for_retry : std::bool_constant<copied_for_retry<T>> {};
// Their copies may throw, but always compile.
template <class Signature>
struct may_copy_for_retry<std::function<Signature>> : std::true_type {};
template <>
struct may_copy_for_retry<std::any> : std::true_type {};

/// A stored argument that may be copied for another attempt.
template <class T>
concept repeatable = std::is_copy_constructible_v<T> &&
    all_parts<std::is_copy_constructible, may_copy_for_retry, T>::value;

/// What can be copied, all that it holds included.
template <class T>
concept deeply_copyable =
    all_parts<std::is_copy_constructible, std::is_copy_constructible, T>::value;

template <class T>
    struct has_equality : std::bool_constant < requires(const T& a, const T& b) {
    { a == b } -> std::convertible_to<bool>;
} > {};

/// What can be compared with ==, all that it holds included.
template <class T>
concept deeply_comparable = all_parts<has_equality, has_equality, T>::value;

}  // namespace tokengate::detail
