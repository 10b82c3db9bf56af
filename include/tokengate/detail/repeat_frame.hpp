// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a frame can do beyond running its callable once: attempts that leave the arguments for
/// another one, and a look at how large those are.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include <tokengate/detail/argument_bytes.hpp>
#include <tokengate/detail/duplicate.hpp>
#include <tokengate/detail/frame.hpp>
#include <tokengate/detail/parts.hpp>

namespace tokengate::detail {

/// A parameter for which a stored argument can serve more than once: a reference sees the stored
/// one, everything else gets a copy.
template <class P>
concept repeatable_parameter = std::is_lvalue_reference_v<P> || repeatable<std::decay_t<P>>;

/// See frame_type::argument_bytes.
template <class R, class... P>
[[nodiscard]] std::size_t stored_bytes([[maybe_unused]] const token_node& node) noexcept {
    using arguments = arguments_place<R, P...>;
    if constexpr (arguments::none) {
        return 0;
    } else {
        return std::apply(
            [](const std::decay_t<P>&... args) { return (bytes_of_argument(args) + ...); },
            arguments::place::at(at_offset(node, arguments::offset)));
    }
}

/// The functions of a frame for attempts at a callable F with parameters P and result R.
template <class F, class R, class... P>
struct repeat_functions {
    using outcome = outcome_place<R>;
    using arguments = arguments_place<R, P...>;

    /// See frame_type::attempt.
    static token_state attempt(token_node& node, std::exception_ptr& thrown) noexcept {
        auto& callable = static_cast<callable_core<F>&>(*node.operation).callable;
        try {
            outcome::value_place::build(at_offset(node, outcome::offset),
                                        [&] { return invoke(callable, node); });
        } catch (...) {
            thrown = std::current_exception();
            return token_state::executing;
        }
        try {
            arguments::drop(node);
            return token_state::completed;
        } catch (...) {
            std::exception_ptr error = std::current_exception();
            frame_functions<F, R, P...>::drop_outcome(node, token_state::completed);
            ::new (at_offset(node, outcome::offset)) std::exception_ptr(std::move(error));
            return token_state::failed;
        }
    }

    /// attempt(), or null if an argument cannot be copied.
    static constexpr auto attempt_if_possible =
        []() -> token_state (*)(token_node&, std::exception_ptr&) noexcept {
        if constexpr ((repeatable_parameter<P> && ...)) {
            return attempt;
        } else {
            return nullptr;
        }
    }();

  private:
    [[nodiscard]] static const auto& stored(const token_node& node) noexcept {
        return arguments::place::at(at_offset(node, arguments::offset));
    }

    /// What a parameter gets of a stored argument.
    template <class Parameter>
    [[nodiscard]] static decltype(auto) serve(const std::decay_t<Parameter>& argument) {
        if constexpr (std::is_lvalue_reference_v<Parameter>) {
            return (argument);
        } else {
            return std::decay_t<Parameter>(argument);
        }
    }

    [[nodiscard]] static stored_result<R> invoke(F& callable,
                                                 [[maybe_unused]] const token_node& node) {
        const auto call = [&]() -> R {
            if constexpr (arguments::none) {
                return std::invoke(callable);
            } else {
                return std::apply(
                    [&](const std::decay_t<P>&... args) -> R {
                        return std::invoke(callable, serve<P>(args)...);
                    },
                    stored(node));
            }
        };
        if constexpr (std::is_void_v<R>) {
            call();
            return {};
        } else if constexpr (std::is_reference_v<R>) {
            return std::addressof(call());
        } else {
            return call();
        }
    }
};

/// The frame type of an operation that may be retried, or whose calls may be compared:
/// frame_functions::type with attempts. Others do without: one more place where the compiler may
/// inline the callable makes it inline less in run() and in what the callable calls.
template <class F, class R, class... P>
inline constexpr frame_type repeatable_frame = [] {
    frame_type made = frame_functions<F, R, P...>::type;
    made.attempt = repeat_functions<F, R, P...>::attempt_if_possible;
    made.coalescible = coalescible<std::decay_t<P>...>;
    return made;
}();

}  // namespace tokengate::detail
