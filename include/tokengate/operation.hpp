// SPDX-License-Identifier: Apache-2.0
/// @file
/// Declared operations: calling one makes a token.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <ranges>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <tokengate/bulk.hpp>
#include <tokengate/detail/calls.hpp>
#include <tokengate/detail/frame.hpp>
#include <tokengate/detail/inputs.hpp>
#include <tokengate/detail/signature.hpp>
#include <tokengate/detail/source.hpp>
#include <tokengate/health.hpp>
#include <tokengate/key_hold.hpp>
#include <tokengate/locality.hpp>
#include <tokengate/stats.hpp>
#include <tokengate/token.hpp>
#include <tokengate/weight.hpp>

namespace tokengate {

namespace detail {

/// What was counted of an operation.
[[nodiscard]] operation_stats stats_of(const operation_core& operation);

/// What operations of all signatures share.
class operation_handle {
  public:
    /// The name it was declared under.
    [[nodiscard]] std::string_view name() const noexcept { return core_->label->name; }

    /// Its weight class.
    [[nodiscard]] weight weight_class() const noexcept { return core_->weight_class; }

    /// A snapshot of its counters, exact while the runtime is idle. Cost: proportional to the
    /// threads that submit and run tokens; no lock on the paths that count.
    [[nodiscard]] operation_stats stats() const { return stats_of(*core_); }

    /// How it is doing lately: how often its attempts fail, and how long they take. For operations
    /// without the traits that time it (basic_operation_traits::timed) it is computed from the
    /// counters since the runtime was made. Any thread, a token or an alert hook too. Cost: that of
    /// stats(), and a short lock. From apps/examples/health.cpp:
    /// @code
    /// std::cout << "fetch is " << tg::to_string(fetch.health().level) << "\n";
    /// @endcode
    /// @throws runtime_forked in a child process
    [[nodiscard]] health_report health() const;

    /// Ends the block of an operation that fails too often (health_limits), and forgets what the
    /// window holds. True if it was blocked. Any thread. Takes a lock.
    /// @throws runtime_forked in a child process
    // NOLINTNEXTLINE(modernize-use-nodiscard): whoever unblocks need not care.
    bool unblock() const;

    /// From now on no token of this operation begins, but those that a worker has taken up already:
    /// they wait in order, and later calls wait behind them. Other operations do not notice. Ends
    /// with resume(), and when the runtime stops. Idempotent; any thread, a token too. Takes a
    /// lock. From apps/examples/kill_and_pause.cpp:
    /// @code
    /// send.pause();  // what is called from here on waits
    /// @endcode
    /// Tokens that wait so do not count towards `in_flight_limit`; calls block, or are refused,
    /// when as many wait. Of a serial key only the first one does, the others wait in line behind
    /// it: calls of this operation with serial keys, and of others behind it, block, or are
    /// refused, when half of the room is taken.
    /// @throws runtime_forked in a child process (so do the following)
    void pause() const;

    /// Ends a pause: what waits runs, in order. Ends drain(), too. Idempotent.
    void resume() const;

    /// Stops admission and finishes what was admitted: from now on calls from outside throw
    /// operation_drained, until resume(); those that tokens make come in. Ends a pause. Blocks
    /// until all tokens of this operation have ended, and looks once in a millisecond whether they
    /// have; the tokens themselves run as ever. Any thread that is no worker of the runtime.
    /// @throws error inside a token, which this would have to wait for
    void drain() const;

    /// The same for at most `limit`. True if all have ended.
    [[nodiscard]] bool drain_for(std::chrono::nanoseconds limit) const;

    /// True between pause() and resume().
    [[nodiscard]] bool paused() const;

    /// Kills all tokens of this operation that were called before, whether they run or not, as
    /// token::kill() does. Those that lie in a mailbox or a deque die when a worker comes to them,
    /// before it would run them (one that it has just taken out may still run); all others at once.
    /// How many those were. Any thread, a token too, which does not survive it if it is one of
    /// them. Cost: two locks, a look at each worker, one at each token that waits for inputs.
    /// @throws std::bad_alloc; nothing was killed then
    // NOLINTNEXTLINE(modernize-use-nodiscard): the number is for those who want to know.
    std::size_t kill(std::string_view reason = {}) const;

    /// The same for those that have not begun only.
    // NOLINTNEXTLINE(modernize-use-nodiscard): as above.
    std::size_t cancel(std::string_view reason = {}) const;

  protected:
    /// A handle of this operation; for the library.
    explicit operation_handle(operation_core& core) noexcept : core_(&core) {}

    /// What is behind the handle; for the library.
    [[nodiscard]] operation_core& core() const noexcept { return *core_; }

  private:
    friend struct operation_access;
    operation_core* core_;
};

/// Sees what is behind an operation.
struct operation_access {
    [[nodiscard]] static operation_core& core_of(const operation_handle& operation) noexcept {
        return *operation.core_;
    }
};

/// A parameter that a token can supply: the token owns its arguments, so a callable cannot take
/// one by non-const reference.
template <class P>
concept owned_parameter =
    !std::is_lvalue_reference_v<P> || std::is_const_v<std::remove_reference_t<P>>;

/// Calls visit(element) for each element of a range, which is moved from if that is an rvalue.
template <class Range, class Visit>
void for_each_argument(Range&& range, Visit&& visit) {
    const auto end = std::ranges::end(range);
    for (auto each = std::ranges::begin(range); each != end; ++each) {
        if constexpr (gives_elements_away<Range>) {
            visit(std::ranges::iter_move(each));
        } else {
            visit(*each);
        }
    }
}

/// Makes calls of a function with stored parameters D and results R, one for each element.
template <class R, class... D, class Range>
[[nodiscard]] tokengate::bulk<R> call_for_each(operation_core& core, const frame_type& type,
                                               Range&& range) {
    const auto spread = [](auto&& element, auto&& use) {
        if constexpr (sizeof...(D) == 1) {
            use(std::forward<decltype(element)>(element));
        } else {
            std::apply(use, std::forward<decltype(element)>(element));
        }
    };
    if (core.special.load(std::memory_order_relaxed)) {
        std::vector<token<R>> tokens;
        for_each_argument(std::forward<Range>(range), [&](auto&& element) {
            spread(std::forward<decltype(element)>(element), [&](auto&&... args) {
                tokens.push_back(
                    token<R>::adopt(make_call<R, D...>(core, type, admission::wait, holders::caller,
                                                       std::forward<decltype(args)>(args)...)));
            });
        });
        return tokengate::bulk<R>::adopt(std::move(tokens));
    }
    using arguments = std::tuple<D...>;
    if constexpr (std::ranges::forward_range<Range> || std::ranges::sized_range<Range>) {
        const auto count = static_cast<std::size_t>(std::ranges::distance(range));
        auto each = std::ranges::begin(range);
        return tokengate::bulk<R>::adopt(
            make_bulk<R, D...>(core, *type.bulk, count, [&](arguments* where) {
                const auto place = [&](auto&&... args) {
                    ::new (static_cast<void*>(where))
                        arguments(std::forward<decltype(args)>(args)...);
                };
                if constexpr (gives_elements_away<Range>) {
                    spread(std::ranges::iter_move(each), place);
                } else {
                    spread(*each, place);
                }
                ++each;
            }));
    } else {
        std::vector<arguments> collected;
        for_each_argument(std::forward<Range>(range), [&](auto&& element) {
            spread(std::forward<decltype(element)>(element), [&](auto&&... args) {
                collected.emplace_back(std::forward<decltype(args)>(args)...);
            });
        });
        auto each = collected.begin();
        return tokengate::bulk<R>::adopt(
            make_bulk<R, D...>(core, *type.bulk, collected.size(), [&](arguments* where) {
                ::new (static_cast<void*>(where)) arguments(std::move(*each++));
            }));
    }
}

/// Makes `count` calls of a function without parameters.
template <class R>
[[nodiscard]] tokengate::bulk<R> call_often(operation_core& core, const frame_type& type,
                                            std::size_t count) {
    if (core.special.load(std::memory_order_relaxed)) {
        std::vector<token<R>> tokens(count);
        for (token<R>& each : tokens) {
            each = token<R>::adopt(make_call<R>(core, type, admission::wait, holders::caller));
        }
        return tokengate::bulk<R>::adopt(std::move(tokens));
    }
    return tokengate::bulk<R>::adopt(make_bulk<R>(core, *type.bulk, count, [](std::tuple<>*) {}));
}

}  // namespace detail

class after_tokens;
template <class Signature>
class operation;

namespace detail {

template <class Signature>
class limited_operation;

/// An operation with time limits for the calls that are made through this.
template <class R, class... P>
class limited_operation<R(P...)> {
  public:
    limited_operation(operation_core& core, const time_limits& limits) noexcept
        : core_(&core), limits_(limits) {}

    /// As operation::operator().
    template <class... A>
        requires(sizeof...(A) == sizeof...(P) && (std::convertible_to<A, std::decay_t<P>> && ...))
    token<R>
    operator()(A&&... args) const {
        return token<R>::adopt(make_limited_call<R, P...>(*core_, *core_->type, admission::wait,
                                                          limits_, std::forward<A>(args)...));
    }

    /// As operation::try_call().
    template <class... A>
        requires(sizeof...(A) == sizeof...(P) && (std::convertible_to<A, std::decay_t<P>> && ...))
    [[nodiscard]] std::optional<token<R>> try_call(A&&... args) const {
        token_node* node = make_limited_call<R, P...>(*core_, *core_->type, admission::refuse,
                                                      limits_, std::forward<A>(args)...);
        if (node == nullptr) return std::nullopt;
        return token<R>::adopt(node);
    }

  private:
    operation_core* core_;
    time_limits limits_;
};

}  // namespace detail

/// A declared operation of one signature, `operation<R(P...)>`: a cheap handle, copyable, valid as
/// long as its runtime. A callable that refers to a handle needs it until the runtime has drained.
///
/// Thread safety: may be called from any thread, also from inside a token.
template <class R, class... P>
class operation<R(P...)> : public detail::operation_handle {
  public:
    /// Makes a token and returns at once: the arguments are converted to the callable's parameter
    /// types and moved into the token, the gate has placed it.
    ///
    /// An argument may also be a token whose result converts to the parameter's type, or a
    /// container of such: a vector or another range, an array, an optional, a pair or a tuple,
    /// inside each other, too. Then the new token waits for those, without a worker, a place or a
    /// key, and gets their results: moved out of those that nobody else holds, else copied. If one
    /// has no result, it fails with dependency_failed, at once. From apps/examples/dataflow.cpp:
    /// @code
    /// tg::token<double> mean = average(halves);  // waits for both, and holds no worker
    /// @endcode
    ///
    /// Cost: no memory allocation in the steady state, no lock. Blocks while the runtime is at its
    /// limits; on a worker it runs other tokens instead.
    /// @throws runtime_stopped after stop(), runtime_forked in a child process, operation_blocked
    ///         if it fails too often (health_limits), std::bad_alloc, and what the conversion of an
    ///         argument throws; nothing was accepted then
    template <class... A>
        requires(sizeof...(A) == sizeof...(P) && (detail::argument_for<A, P> && ...))
    token<R>
    operator()(A&&... args) const {
        return token<R>::adopt(
            detail::make_any_call<R, P...>(core(), *core().type, detail::admission::wait,
                                           detail::holders::caller, std::forward<A>(args)...));
    }

    /// The same, but makes a token that nobody holds, for those who want no more than that it runs:
    /// its result or exception is dropped, and only counted. Cheaper by what a handle costs: a
    /// read-modify-write on either side. From apps/examples/waiting.cpp:
    /// @code
    /// speak.post();  // a token that nobody holds
    /// @endcode
    /// @throws as operator()
    template <class... A>
        requires(sizeof...(A) == sizeof...(P) && (detail::argument_for<A, P> && ...))
    void post(A&&... args) const {
        detail::make_any_call<R, P...>(core(), *core().type, detail::admission::wait,
                                       detail::holders::runtime, std::forward<A>(args)...);
    }

    /// The same, but never blocks: returns nothing if the runtime is at its limits. The arguments
    /// are untouched then. From apps/examples/errors.cpp:
    /// @code
    /// if (auto t = divide.try_call(84, 2)) {  // nothing, instead of blocking, at the limit
    ///     std::cout << "84 / 2 = " << t->get() << "\n";
    /// @endcode
    template <class... A>
        requires(sizeof...(A) == sizeof...(P) && (detail::argument_for<A, P> && ...))
    [[nodiscard]] std::optional<token<R>> try_call(A&&... args) const {
        detail::token_node* node =
            detail::make_any_call<R, P...>(core(), *core().type, detail::admission::refuse,
                                           detail::holders::caller, std::forward<A>(args)...);
        if (node == nullptr) return std::nullopt;
        return token<R>::adopt(node);
    }

    /// The operation with time limits of their own for the calls that are made through what this
    /// gives, by its operator() or try_call(); they are not coalesced with others. From
    /// apps/examples/deadline.cpp:
    /// @code
    /// const tg::token<int> hasty = refine.with({.run_timeout = 5ms})(1'000'000);
    /// @endcode
    /// Cost: as a call of an operation that has such traits, and a lock.
    [[nodiscard]] detail::limited_operation<R(P...)> with(
        const time_limits& limits) const noexcept {
        return {core(), limits};
    }

    /// Holds the key that a call with these arguments would have, in the domain where tokens with
    /// it are in flight, or else in the one whose turn it is in the order of positions.
    /// Cost: about that of hashing the arguments; nothing is queued.
    /// @throws operation_error if the operation is not sticky; runtime_stopped, std::bad_alloc
    template <class... A>
        requires(sizeof...(A) == sizeof...(P) && (std::convertible_to<A, std::decay_t<P>> && ...))
    [[nodiscard]] key_hold hold(const A&... args) const {
        return key_hold::adopt(detail::hold_key_of<std::decay_t<P>...>(core(), args...));
    }

    /// Makes a token for each element of a range, all at once, and returns at once: see
    /// tokengate::bulk. With one parameter, the elements are what it takes; with several, tuples
    /// of what they take. They are converted, copied or moved (out of a container that is an
    /// rvalue) before the first token is admitted. The tokens have consecutive ids and, if they are
    /// free and do not stay on the worker that makes them, consecutive positions; those that the
    /// positions bring to one domain are next to each other in the range.
    ///
    /// Cost: one piece of memory, a node of the pool for each domain; then a tenth of a call each.
    /// Blocks at a limit until all are admitted; on a worker it runs other tokens instead.
    /// @throws as a call; if runtime_stopped comes when a part has been admitted already, that part
    ///         runs nevertheless
    template <detail::arguments_range<std::decay_t<P>...> Range>
    tokengate::bulk<R> bulk(Range&& range) const {
        return detail::call_for_each<R, std::decay_t<P>...>(core(), *core().type,
                                                            std::forward<Range>(range));
    }

    /// The same for an operation without parameters: so many tokens.
    // NOLINTNEXTLINE(modernize-use-nodiscard): the handle may be dropped at once.
    tokengate::bulk<R> bulk(std::size_t count) const requires(sizeof...(P) == 0) {
        return detail::call_often<R>(core(), *core().type, count);
    }

  private:
    friend class runtime;
    friend class after_tokens;
    explicit operation(detail::operation_core& core) noexcept : detail::operation_handle(core) {}

    template <class... A>
        requires(sizeof...(A) == sizeof...(P) && (detail::argument_for<A, P> && ...))
    token<R> call_after(std::vector<detail::token_handle>&& others, A&&... args)
    const {
        return token<R>::adopt(detail::make_dependent_call<R, P...>(
            core(), *core().type, detail::admission::wait, detail::holders::caller,
            std::move(others), std::forward<A>(args)...));
    }
};

/// A declared operation whose callable accepts more than one list of arguments (a generic lambda,
/// an overloaded call operator, a pointer to member). Each call's arguments are decayed.
template <class F>
class generic_operation : public detail::operation_handle {
  public:
    /// As operation::operator(), with decayed argument types; of tokens, those of their results.
    template <class... A>
        requires std::invocable<F&, detail::resolved_t<A>...>
    auto operator()(A&&... args) const {
        using result = std::invoke_result_t<F&, detail::resolved_t<A>...>;
        return token<result>::adopt(make<result>(detail::admission::wait, detail::holders::caller,
                                                 std::forward<A>(args)...));
    }

    /// As operation::post().
    template <class... A>
        requires std::invocable<F&, detail::resolved_t<A>...>
    void post(A&&... args) const {
        make<std::invoke_result_t<F&, detail::resolved_t<A>...>>(
            detail::admission::wait, detail::holders::runtime, std::forward<A>(args)...);
    }

    /// As operation::try_call().
    template <class... A>
        requires std::invocable<F&, detail::resolved_t<A>...>
    [[nodiscard]] auto try_call(A&&... args) const {
        using result = std::invoke_result_t<F&, detail::resolved_t<A>...>;
        detail::token_node* node = make<result>(detail::admission::refuse, detail::holders::caller,
                                                std::forward<A>(args)...);
        return node == nullptr ? std::nullopt : std::optional(token<result>::adopt(node));
    }

    /// As operation::hold().
    template <class... A>
        requires std::invocable<F&, std::decay_t<A>...>
    [[nodiscard]] key_hold hold(const A&... args) const {
        return key_hold::adopt(detail::hold_key_of<std::decay_t<A>...>(core(), args...));
    }

    /// As operation::bulk(), with elements that the callable takes as one argument, decayed.
    template <std::ranges::input_range Range>
        requires std::invocable<F&, std::decay_t<detail::bulk_element<Range>>>
    auto bulk(Range&& range) const {
        using argument = std::decay_t<detail::bulk_element<Range>>;
        using result = std::invoke_result_t<F&, argument>;
        return detail::call_for_each<result, argument>(
            core(), detail::frame_functions<F, result, argument>::type, std::forward<Range>(range));
    }

  private:
    friend class runtime;
    friend class after_tokens;
    explicit generic_operation(detail::operation_core& core) noexcept
        : detail::operation_handle(core) {}

    template <class R, class... A>
    detail::token_node* make(detail::admission how, detail::holders held_by, A&&... args) const {
        return detail::make_any_call<R, detail::resolved_t<A>...>(
            core(), detail::repeatable_frame<F, R, detail::resolved_t<A>...>, how, held_by,
            std::forward<A>(args)...);
    }

    template <class... A>
        requires std::invocable<F&, detail::resolved_t<A>...>
    auto call_after(std::vector<detail::token_handle>&& others, A&&... args) const {
        using result = std::invoke_result_t<F&, detail::resolved_t<A>...>;
        return token<result>::adopt(detail::make_dependent_call<result, detail::resolved_t<A>...>(
            core(), detail::repeatable_frame<F, result, detail::resolved_t<A>...>,
            detail::admission::wait, detail::holders::caller, std::move(others),
            std::forward<A>(args)...));
    }
};

}  // namespace tokengate
