// SPDX-License-Identifier: Apache-2.0
/// @file
/// What can be passed for a parameter: a value, a token that will have it, or a container of
/// either.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <tokengate/token.hpp>

namespace tokengate::detail {

/// Sees the node behind a handle.
struct handle_access {
    /// @throws empty_token if it holds none
    [[nodiscard]] static token_node& node_of(const token_handle& handle) {
        return handle.node("passing it as an argument");
    }
};

/// What a token stands for as an argument. None: its result, if it has none, is no argument.
template <class T>
struct value_of_token {};
template <class R>
    requires(!std::is_void_v<R>)
struct value_of_token<token<R>> {
    using type = std::remove_cv_t<R>;
};
template <class T>
concept token_with_value = requires {
    typename value_of_token<T>::type;
};

/// How an argument of type S, which is or holds tokens, becomes a parameter that is stored as D:
/// visit(argument, see) calls see(token_node&) for each token, take(argument) gives the D when all
/// of them have completed. Only where S is not a D already.
template <class S, class D>
struct source {
    static constexpr bool exists = false;
};

/// What S becomes as a D is a D, or a source of one.
template <class S, class D>
inline constexpr bool gives = std::convertible_to<S, D> || source<S, D>::exists;

template <class S, class D, class Visit>
void visit_tokens([[maybe_unused]] S& argument, [[maybe_unused]] Visit&& see) {
    if constexpr (!std::convertible_to<S, D>) source<S, D>::visit(argument, see);
}
template <class S, class D>
[[nodiscard]] D take_value(S& argument) {
    if constexpr (std::convertible_to<S, D>) {
        return std::move(argument);
    } else {
        return source<S, D>::take(argument);
    }
}

/// Moved out of a token that nobody else holds, else copied.
template <token_with_value S, class D>
    requires(!std::convertible_to<S, D> && std::convertible_to<typename value_of_token<S>::type, D>)
struct source<S, D> {
    static constexpr bool exists = true;
    template <class Visit>
    static void visit(S& argument, Visit&& see) {
        see(handle_access::node_of(argument));
    }
    [[nodiscard]] static D take(S& argument) { return std::move(argument).get(); }
};

/// A container that can be filled from its end.
template <class D>
concept fillable = std::default_initializable<D> &&
    requires(D& made, typename D::value_type& value) {
    made.insert(made.end(), std::move(value));
};

template <std::ranges::forward_range S, fillable D>
    requires(!std::convertible_to<S, D> &&
             gives<std::ranges::range_value_t<S>, typename D::value_type>)
struct source<S, D> {
    using from = std::ranges::range_value_t<S>;
    using to = typename D::value_type;
    static constexpr bool exists = true;
    template <class Visit>
    static void visit(S& argument, Visit&& see) {
        for (auto& each : argument) visit_tokens<from, to>(each, see);
    }
    [[nodiscard]] static D take(S& argument) {
        D made;
        if constexpr (requires { made.reserve(std::size_t{}); }) {
            made.reserve(static_cast<std::size_t>(std::ranges::distance(argument)));
        }
        for (auto& each : argument) made.insert(made.end(), take_value<from, to>(each));
        return made;
    }
};

template <class S, class D, std::size_t n>
    requires(!std::convertible_to<std::array<S, n>, std::array<D, n>> && gives<S, D>)
struct source<std::array<S, n>, std::array<D, n>> {
    static constexpr bool exists = true;
    template <class Visit>
    static void visit(std::array<S, n>& argument, Visit&& see) {
        for (S& each : argument) visit_tokens<S, D>(each, see);
    }
    [[nodiscard]] static std::array<D, n> take(std::array<S, n>& argument) {
        return std::apply([](auto&... each) { return std::array<D, n>{take_value<S, D>(each)...}; },
                          argument);
    }
};

template <class S, class D>
    requires(!std::convertible_to<std::optional<S>, std::optional<D>> && gives<S, D>)
struct source<std::optional<S>, std::optional<D>> {
    static constexpr bool exists = true;
    template <class Visit>
    static void visit(std::optional<S>& argument, Visit&& see) {
        if (argument) visit_tokens<S, D>(*argument, see);
    }
    [[nodiscard]] static std::optional<D> take(std::optional<S>& argument) {
        if (!argument) return std::nullopt;
        return take_value<S, D>(*argument);
    }
};

template <class... S, class... D>
    requires(sizeof...(S) == sizeof...(D) &&
             !std::convertible_to<std::tuple<S...>, std::tuple<D...>> && (gives<S, D> && ...))
struct source<std::tuple<S...>, std::tuple<D...>> {
    static constexpr bool exists = true;
    template <class Visit>
    static void visit(std::tuple<S...>& argument, Visit&& see) {
        std::apply([&](S&... each) { (visit_tokens<S, D>(each, see), ...); }, argument);
    }
    [[nodiscard]] static std::tuple<D...> take(std::tuple<S...>& argument) {
        return std::apply([](S&... each) { return std::tuple<D...>(take_value<S, D>(each)...); },
                          argument);
    }
};

template <class A, class B, class C, class D>
    requires(!std::convertible_to<std::pair<A, B>, std::pair<C, D>> && gives<A, C> && gives<B, D>)
struct source<std::pair<A, B>, std::pair<C, D>> {
    static constexpr bool exists = true;
    template <class Visit>
    static void visit(std::pair<A, B>& argument, Visit&& see) {
        visit_tokens<A, C>(argument.first, see);
        visit_tokens<B, D>(argument.second, see);
    }
    [[nodiscard]] static std::pair<C, D> take(std::pair<A, B>& argument) {
        return {take_value<A, C>(argument.first), take_value<B, D>(argument.second)};
    }
};

/// What can be passed for a parameter P.
template <class A, class P>
concept argument_for =
    std::convertible_to<A, std::decay_t<P>> || source<std::decay_t<A>, std::decay_t<P>>::exists;

/// As what such an argument is kept until its tokens have completed: the elements of a view, which
/// are not its own, as copies.
template <class A, class D>
struct keeper {
    using type = std::decay_t<A>;
};
template <class A, class D>
    requires(std::convertible_to<A, D>)
struct keeper<A, D> {
    using type = D;
};
template <class A, class D>
    requires(!std::convertible_to<A, D> && std::ranges::view<std::decay_t<A>>)
struct keeper<A, D> {
    using type = std::vector<std::ranges::range_value_t<A>>;
};
template <class A, class D>
using kept_as = typename keeper<A, D>::type;

template <class S, class A>
[[nodiscard]] S keep(A&& argument) {
    if constexpr (std::convertible_to<A, S>) {
        return std::forward<A>(argument);
    } else {
        return S(std::ranges::begin(argument), std::ranges::end(argument));
    }
}

/// True if an argument that is passed is, or holds, tokens whose results are meant: what a generic
/// callable gets in its place.
template <class S>
struct resolved {
    using type = S;
    static constexpr bool waits = false;
};
template <class S>
using resolved_t = typename resolved<std::decay_t<S>>::type;
template <class S>
inline constexpr bool waits_for = resolved<std::decay_t<S>>::waits;

template <token_with_value S>
struct resolved<S> {
    using type = std::decay_t<typename value_of_token<S>::type>;
    static constexpr bool waits = true;
};
template <class S, class A>
    requires(waits_for<S>)
struct resolved<std::vector<S, A>> {
    using type = std::vector<resolved_t<S>>;
    static constexpr bool waits = true;
};
template <class S, std::size_t n>
    requires(waits_for<S>)
struct resolved<std::array<S, n>> {
    using type = std::array<resolved_t<S>, n>;
    static constexpr bool waits = true;
};
template <class S>
    requires(waits_for<S>)
struct resolved<std::optional<S>> {
    using type = std::optional<resolved_t<S>>;
    static constexpr bool waits = true;
};
template <class... S>
    requires(waits_for<S> || ...)
struct resolved<std::tuple<S...>> {
    using type = std::tuple<resolved_t<S>...>;
    static constexpr bool waits = true;
};
template <class A, class B>
    requires(waits_for<A> || waits_for<B>)
struct resolved<std::pair<A, B>> {
    using type = std::pair<resolved_t<A>, resolved_t<B>>;
    static constexpr bool waits = true;
};

}  // namespace tokengate::detail
