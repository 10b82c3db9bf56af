// SPDX-License-Identifier: Apache-2.0
/// @file
/// Finds the one signature of a callable, where it has one.
#pragma once

#include <type_traits>

namespace tokengate::detail {

/// A signature and nothing else.
template <class R, class... P>
struct signature {
    using type = R(P...);
};

template <class Member>
struct member_signature;
template <class C, class R, class... P>
struct member_signature<R (C::*)(P...)> : signature<R, P...> {};
template <class C, class R, class... P>
struct member_signature<R (C::*)(P...) const> : signature<R, P...> {};
template <class C, class R, class... P>
struct member_signature<R (C::*)(P...)&> : signature<R, P...> {};
template <class C, class R, class... P>
struct member_signature<R (C::*)(P...) const&> : signature<R, P...> {};
template <class C, class R, class... P>
struct member_signature<R (C::*)(P...) noexcept> : signature<R, P...> {};
template <class C, class R, class... P>
struct member_signature<R (C::*)(P...) const noexcept> : signature<R, P...> {};
template <class C, class R, class... P>
struct member_signature<R (C::*)(P...)& noexcept> : signature<R, P...> {};
template <class C, class R, class... P>
struct member_signature<R (C::*)(P...) const& noexcept> : signature<R, P...> {};

template <class F>
struct callable_signature {};
template <class F>
    requires requires { &F::operator(); }
struct callable_signature<F> : member_signature<decltype(&F::operator())> {};
template <class R, class... P>
struct callable_signature<R (*)(P...)> : signature<R, P...> {};
template <class R, class... P>
struct callable_signature<R (*)(P...) noexcept> : signature<R, P...> {};

/// A callable with exactly one signature: a function pointer, or a class with one call operator
/// that is not a template.
template <class F>
concept has_signature = requires {
    typename callable_signature<std::decay_t<F>>::type;
};

/// That signature, as R(P...).
template <has_signature F>
using signature_of = typename callable_signature<std::decay_t<F>>::type;

}  // namespace tokengate::detail
