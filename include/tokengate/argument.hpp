// SPDX-License-Identifier: Apache-2.0
/// @file
/// What the type of an argument may tell the runtime.
///
/// Its hash, for sticky keys: an `AbslHashValue`, see tokengate::sticky. Whether it can be copied
/// for another attempt: copied_for_retry. And how large it is: a function in the namespace of the
/// type, which is found there,
/// @code
/// std::size_t argument_size(const image& value) noexcept;
/// @endcode
/// and which returns the bytes that an object takes, itself included. Without it an object counts
/// with its `sizeof`; a container, a pair, a tuple and an optional also with what they hold, two
/// containers deep. Pointers, smart pointers, views and std::ref do not count what they refer to.
#pragma once

#include <type_traits>

namespace tokengate {

/// True if an argument of class T may be copied for each attempt of an operation that is retried.
/// Asked only for parameters by value or rvalue reference: const references need no copies.
///
/// A class says "copyable" also if a copy would not compile (with a
/// `std::vector<std::unique_ptr<...>>` in it, say), so that nothing is taken for granted but what
/// cannot fail: classes whose copies do not throw, and standard containers, strings, pairs, tuples,
/// optionals, variants and functions, if what they hold can be copied. For your own class:
/// @code
/// template <>
/// inline constexpr bool tokengate::copied_for_retry<image> = true;
/// @endcode
/// right behind its definition. False keeps a class that could be copied from being copied.
template <class T>
inline constexpr bool copied_for_retry = std::is_nothrow_copy_constructible_v<T>;

}  // namespace tokengate
