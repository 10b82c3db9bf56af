// SPDX-License-Identifier: Apache-2.0
/// @file
/// Callables that are coroutines: their tokens are put back while they wait. Protocol:
/// lib/coroutine/README.md.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include <tokengate/detail/executor.hpp>
#include <tokengate/detail/frame.hpp>
#include <tokengate/task.hpp>

namespace tokengate::detail {

/// The coroutine of one token, behind its frame, and where that goes on: on whatever worker of its
/// domain takes the token out.
class suspension final : public executor {
  public:
    explicit suspension(token_node& node) noexcept : executor(&node) {}

    [[nodiscard]] bool begun() const noexcept { return body_ != nullptr; }

    /// Its callable has been called.
    void begin(std::coroutine_handle<> body) noexcept { body_ = body; }

    /// Goes on with it, for the worker that has begun the token. False: it waits again.
    [[nodiscard]] bool go_on() noexcept;

    /// It has ended, and was destroyed.
    void finish() noexcept;

    /// The token has died: destroys it, if it has been called.
    void destroy() noexcept;

    /// See frame_type::put_back.
    static bool put_back(token_node& node, bool entry_in_hand) noexcept;

    /// Its coroutine, as what it is.
    template <class Promise>
    [[nodiscard]] std::coroutine_handle<Promise> body() const noexcept {
        return std::coroutine_handle<Promise>::from_address(body_.address());
    }

  private:
    void hold() noexcept override;
    void let_go() noexcept override;
    void wake() noexcept override;

    std::coroutine_handle<> body_;
    bool waits_first_ = true;  ///< it has not been resumed
    std::atomic<std::uint8_t> signals_{0};
};

/// The functions of a frame of callable F with parameters P, which returns a task<T>. Parameters
/// stay until it has ended, since the coroutine may refer to them.
template <class F, class T, class... P>
struct coroutine_functions {
    using outcome = outcome_place<T>;
    using arguments = arguments_place<T, P...>;
    using promise = typename task<T>::promise_type;
    static constexpr std::size_t offset = round_up(arguments::end, alignof(suspension));

    [[nodiscard]] static suspension& own(token_node& node) noexcept {
        return *std::launder(static_cast<suspension*>(at_offset(node, offset)));
    }

    static void prepare(token_node& node) noexcept {
        node.resumable = true;
        ::new (at_offset(node, offset)) suspension(node);
    }

    static token_state run(token_node& node) noexcept {
        suspension& mine = own(node);
        std::exception_ptr error;
        try {
            if (!mine.begun()) call(node, mine);
            if (!mine.go_on()) return token_state::waiting;
            promise& ended = mine.template body<promise>().promise();
            outcome::value_place::build(at_offset(node, outcome::offset),
                                        [&] { return deliver(ended); });
        } catch (...) {
            error = std::current_exception();
        }
        // As in frame_functions::run().
        try {
            mine.finish();
            arguments::drop(node);
        } catch (...) {
            if (error == nullptr) {
                error = std::current_exception();
                frame_functions<F, T, P...>::drop_outcome(node, token_state::completed);
            }
        }
        if (error == nullptr) return token_state::completed;
        keep_error(node, std::move(error));
        return token_state::failed;
    }

    static void drop_arguments(token_node& node) noexcept {
        own(node).destroy();
        try {
            arguments::drop(node);
        } catch (...) {
            // As in frame_functions.
        }
    }

    static constexpr frame_type type{.run = run,
                                     .drop_arguments = drop_arguments,
                                     .drop_outcome = frame_functions<F, T, P...>::drop_outcome,
                                     .size = offset + sizeof(suspension),
                                     .size_class = size_class_of(offset + sizeof(suspension)),
                                     .trivial_result = outcome::value_place::trivial,
                                     .outcome_offset = outcome::offset,
                                     .argument_bytes = stored_bytes<T, P...>,
                                     .put_back = suspension::put_back,
                                     .prepare = prepare,
                                     .suspension_offset = offset};

  private:
    static void call(token_node& node, suspension& mine) {
        auto& callable = static_cast<callable_core<F>&>(*node.operation).callable;
        const auto made = [&]() -> task<T> {
            if constexpr (arguments::none) {
                return std::invoke(callable);
            } else {
                return std::apply(
                    [&](std::decay_t<P>&... args) -> task<T> {
                        return std::invoke(callable, static_cast<P&&>(args)...);
                    },
                    arguments::place::at(arguments::address(node)));
            }
        }()
                                       .release();
        made.promise().where = &mine;
        mine.begin(made);
    }

    static stored_result<T> deliver(promise& ended) {
        if constexpr (std::is_void_v<T>) {
            ended.deliver();
            return {};
        } else if constexpr (std::is_reference_v<T>) {
            return std::addressof(ended.deliver());
        } else {
            return ended.deliver();
        }
    }
};

/// What a callable that returns a task<T> delivers; any other result is delivered as it is.
template <class R>
struct delivered {
    using type = R;
    static constexpr bool by_coroutine = false;
};
template <class T>
struct delivered<task<T>> {
    using type = T;
    static constexpr bool by_coroutine = true;
};

}  // namespace tokengate::detail
