// SPDX-License-Identifier: Apache-2.0
/// @file
/// How a call becomes a token: key, room, node, frame, mailbox.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

#include <tokengate/detail/argument_bytes.hpp>
#include <tokengate/detail/duplicate.hpp>
#include <tokengate/detail/frame.hpp>
#include <tokengate/detail/key.hpp>
#include <tokengate/resilience.hpp>

namespace tokengate::detail {

/// The token of an equal call in flight; the caller gets a reference if it is to hold it. Null if
/// there is none.
/// @throws what a comparison of the arguments throws
[[nodiscard]] token_node* find_equal_call(operation_core& operation, const call_value& value,
                                          holders held_by);

/// begin_call() for an operation whose calls are watched.
/// @param bytes  that the arguments will take beyond the node
[[nodiscard]] token_node* begin_watched_call(operation_core& operation, const frame_type& type,
                                             admission how, call_key key, std::size_t bytes);

/// commit_call() likewise: the token, or that of an equal call that has come first meanwhile.
/// @param value  null if calls of the operation are not compared
/// @throws as commit_call(), std::bad_alloc, what a comparison throws; frame, room and node are
///         gone then
[[nodiscard]] token_node* commit_watched_call(token_node& node, holders held_by,
                                              std::unique_ptr<call_value> value);

/// The key of a call with these arguments, which its operation sees as values of D.
template <class... D, class... A>
[[nodiscard]] call_key key_for(const operation_core& core, const A&... args) {
    return core.keys == call_keys::by_arguments ? key_of_call<D...>(core, args...) : core.name_key;
}

/// Holds that key.
template <class... D, class... A>
[[nodiscard]] held_key hold_key_of(operation_core& core, const A&... args) {
    return hold_key(core, key_for<D...>(core, args...));
}

/// The bytes that an argument will take beyond its token, when it is stored as a D; those of what
/// it holds cannot be told before it is moved if it is not a D.
template <class D, bool boxed, class A>
[[nodiscard]] std::size_t bytes_beyond_node(const A& argument) {
    const std::size_t inside = boxed ? 0 : sizeof(D);
    if constexpr (std::is_same_v<A, D> || std::is_constructible_v<D, const A&>) {
        const std::size_t all = bytes_of_argument<D>(as_parameter_untouched<D>(argument));
        return all > inside ? all - inside : 0;
    } else {
        return sizeof(D) - inside;
    }
}

/// The bytes that the arguments of a call will take beyond its token; 0 if nobody measures them.
template <class R, class... P, class... A>
[[nodiscard]] std::size_t bytes_of_call(const operation_core& core, const A&... args) {
    if (!core.measures) return 0;
    return (std::size_t{0} + ... +
            bytes_beyond_node<std::decay_t<P>, arguments_place<R, P...>::boxed>(args));
}

/// Moves the arguments into the frame of a call that was begun, which is gone if that throws.
template <class R, class... P, class... A>
[[gnu::always_inline]] inline void build_arguments(token_node& node, A&&... args) {
    using arguments = arguments_place<R, P...>;
    if constexpr (!arguments::boxed &&
                  (std::is_nothrow_constructible_v<std::decay_t<P>, A&&> && ...)) {
        arguments::build(node, std::forward<A>(args)...);
    } else {
        try {
            arguments::build(node, std::forward<A>(args)...);
        } catch (...) {
            abandon_call(node);
            throw;
        }
    }
}

/// make_call() for an operation whose calls are watched.
template <class R, class... P, class... A>
[[nodiscard, gnu::noinline]] token_node* make_watched_call(operation_core& core,
                                                           const frame_type& type, admission how,
                                                           holders held_by, A&&... args) {
    const call_key key = key_for<std::decay_t<P>...>(core, args...);
    const std::size_t bytes = bytes_of_call<R, P...>(core, args...);
    std::unique_ptr<call_value> value;
    if (core.coalesces) {
        value = value_of_call<std::decay_t<P>...>(core.number, std::as_const(args)...);
        if (value == nullptr) throw_incomparable(core);
        if (token_node* const other = find_equal_call(core, *value, held_by)) return other;
    }
    token_node* const node = begin_watched_call(core, type, how, key, bytes);
    if (node == nullptr) return nullptr;
    build_arguments<R, P...>(*node, std::forward<A>(args)...);
    return commit_watched_call(*node, held_by, std::move(value));
}

/// make_call() for a call that has its key.
template <class R, class... P, class... A>
[[gnu::always_inline]] inline token_node* make_keyed_call(operation_core& core,
                                                          const frame_type& type, admission how,
                                                          holders held_by, call_key key,
                                                          A&&... args) {
    token_node* node = begin_call(core, type, how, key);
    if (node == nullptr) return nullptr;
    build_arguments<R, P...>(*node, std::forward<A>(args)...);
    commit_call(*node, held_by);
    return node;
}

/// make_call() for an operation that does something with the arguments first. Apart, so that other
/// calls have no more than one comparison of it.
template <class R, class... P, class... A>
[[nodiscard, gnu::noinline]] token_node* make_prepared_call(operation_core& core,
                                                            const frame_type& type, admission how,
                                                            holders held_by, A&&... args) {
    if (core.measures || core.coalesces) {
        return make_watched_call<R, P...>(core, type, how, held_by, std::forward<A>(args)...);
    }
    return make_keyed_call<R, P...>(core, type, how, held_by,
                                    key_of_call<std::decay_t<P>...>(core, args...),
                                    std::forward<A>(args)...);
}

/// begin_call() for a call with limits of its own. Such calls are not compared with others.
/// @throws operation_error if a limit is negative; resource_error if there is no thread to be had
[[nodiscard]] token_node* begin_limited_call(operation_core& operation, const frame_type& type,
                                             admission how, call_key key, std::size_t bytes,
                                             const time_limits& limits);

/// make_call() for a call with limits of its own.
template <class R, class... P, class... A>
[[nodiscard, gnu::noinline]] token_node* make_limited_call(operation_core& core,
                                                           const frame_type& type, admission how,
                                                           const time_limits& limits, A&&... args) {
    const call_key key = key_for<std::decay_t<P>...>(core, args...);
    const std::size_t bytes = bytes_of_call<R, P...>(core, args...);
    token_node* const node = begin_limited_call(core, type, how, key, bytes, limits);
    if (node == nullptr) return nullptr;
    build_arguments<R, P...>(*node, std::forward<A>(args)...);
    commit_call(*node, holders::caller);
    return node;
}

/// Makes a call: room, node, frame, mailbox. Null only if refused; otherwise only to be used if the
/// caller holds the token.
template <class R, class... P, class... A>
token_node* make_call(operation_core& core, const frame_type& type, admission how, holders held_by,
                      A&&... args) {
    if (core.prepares) {
        return make_prepared_call<R, P...>(core, type, how, held_by, std::forward<A>(args)...);
    }
    return make_keyed_call<R, P...>(core, type, how, held_by, core.name_key,
                                    std::forward<A>(args)...);
}

}  // namespace tokengate::detail
