// SPDX-License-Identifier: Apache-2.0
/// @file
/// Finds the one signature of a callable, where it has one.
#pragma once

#include <stop_token>
#include <type_traits>

namespace tokengate::detail {

/// What a call of the operation looks like: a stop token in front is none of its parameters.
template <class R, class... P>
struct signature {
    using type = R(P...);
    static constexpr bool wants_stop_token = false;
};
template <class R, class... P>
struct signature<R, std::stop_token, P...> {
    using type = R(P...);
    static constexpr bool wants_stop_token = true;
};
template <class R, class... P>
struct signature<R, const std::stop_token&, P...> : signature<R, std::stop_token, P...> {};

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

/// That signature, as R(P...), without a stop token in front.
template <has_signature F>
using signature_of = typename callable_signature<std::decay_t<F>>::type;

/// True if the callable's first parameter is a stop token.
template <has_signature F>
inline constexpr bool wants_stop_token = callable_signature<std::decay_t<F>>::wants_stop_token;

}  // namespace tokengate::detail
