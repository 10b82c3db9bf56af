// SPDX-License-Identifier: Apache-2.0
/// @file
/// Many tokens that a coroutine waits for at once.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <tokengate/detail/executor.hpp>
#include <tokengate/task.hpp>
#include <tokengate/token.hpp>

namespace tokengate {

namespace detail {

/// Tokens in the order in which they end, for one coroutine.
class completion_queue {
  public:
    /// Begins to watch the tokens.
    /// @throws std::bad_alloc; empty_token
    explicit completion_queue(std::vector<token_handle> tokens);
    completion_queue(completion_queue&& other) noexcept = default;
    completion_queue& operator=(completion_queue&& other) noexcept;
    /// Does not watch them any more.
    ~completion_queue();

    /// How many have not been delivered.
    [[nodiscard]] std::size_t left() const noexcept;

    /// Waits for the next one: its place among the tokens.
    /// @throws std::invalid_argument by co_await, if none is left
    [[nodiscard]] task<std::size_t> next();

  private:
    class shared;
    class awaiter;
    struct more;
    struct drop {
        void operator()(shared* which) const noexcept;
    };
    std::unique_ptr<shared, drop> shared_;
};

/// Waits until all have completed, or one of them has ended without a result, which is returned.
[[nodiscard]] task<std::optional<std::size_t>> all_or_first_failure(
    std::vector<token_handle> tokens);

/// Waits until all have ended.
[[nodiscard]] task<> all_of(completion_queue tokens);

/// Waits until one has ended: its place.
[[nodiscard]] task<std::size_t> first_of(completion_queue tokens);

/// What a token delivers in a tuple or a vector: nothing is std::monostate.
template <class R>
using gathered = std::conditional_t<
    std::is_void_v<R>, std::monostate,
    std::conditional_t<std::is_reference_v<R>, std::reference_wrapper<std::remove_reference_t<R>>,
                       std::remove_cv_t<R>>>;
template <class R>
[[nodiscard]] gathered<R> gather_one(token<R>& completed) {
    if constexpr (std::is_void_v<R>) {
        std::move(completed).get();
        return {};
    } else {
        return std::move(completed).get();
    }
}

template <class T>
struct token_result;
template <class R>
struct token_result<token<R>> {
    using type = R;
};
/// A range of tokens.
template <class T>
concept token_range = std::ranges::forward_range<T> && requires {
    typename token_result<std::ranges::range_value_t<T>>::type;
};

}  // namespace detail

/// Waits for all these tokens, and gives their results in the order of the arguments: moved out of
/// tokens that nobody else holds, else copied. If one has no result, it throws what get() of that
/// one throws, at once, whichever it is; the others go on. From apps/examples/coroutine.cpp:
/// @code
/// const auto [low, high] = co_await tg::gather(step(1), step(100));
/// @endcode
/// @return what is to be awaited: a std::tuple, with std::monostate for void
template <class... R>
task<std::tuple<detail::gathered<R>...>> gather(token<R>... tokens) {
    const auto failed = co_await detail::all_or_first_failure(detail::handles_of(tokens...));
    if (failed) {
        std::size_t each = 0;
        ((each++ == *failed ? static_cast<void>(tokens.get()) : void()), ...);
    }
    co_return std::tuple<detail::gathered<R>...>{detail::gather_one(tokens)...};
}

/// The same for a range of tokens: a std::vector of their results, in the order of the range.
/// @throws std::bad_alloc; empty_token
template <detail::token_range Tokens>
auto gather(Tokens tokens) -> task<std::vector<
    detail::gathered<typename detail::token_result<std::ranges::range_value_t<Tokens>>::type>>> {
    using result = typename detail::token_result<std::ranges::range_value_t<Tokens>>::type;
    const auto failed = co_await detail::all_or_first_failure(detail::handles_of(tokens));
    if (failed) {
        auto which = std::ranges::begin(tokens);
        std::ranges::advance(which, static_cast<std::ptrdiff_t>(*failed));
        static_cast<void>(which->get());
    }
    std::vector<detail::gathered<result>> all;
    all.reserve(static_cast<std::size_t>(std::ranges::distance(tokens)));
    for (token<result>& each : tokens) all.push_back(detail::gather_one(each));
    co_return all;
}

/// Waits until all of a range of tokens have ended, however: for those who want each outcome. Ask
/// the tokens for it.
template <detail::token_range Tokens>
task<> gather_outcomes(const Tokens& tokens) {
    return detail::all_of(detail::completion_queue(detail::handles_of(tokens)));
}

/// Waits until one of a range of tokens has ended, however; its place in the range. The others go
/// on. From apps/examples/gather_progress.cpp:
/// @code
/// const std::size_t first = co_await tg::when_any(racers);
/// @endcode
/// @throws std::invalid_argument by co_await, if there are none; std::bad_alloc; empty_token
template <detail::token_range Tokens>
task<std::size_t> when_any(const Tokens& tokens) {
    return detail::first_of(detail::completion_queue(detail::handles_of(tokens)));
}

/// The same for these tokens: the place among the arguments.
template <class... R>
task<std::size_t> when_any(const token<R>&... tokens) {
    return detail::first_of(detail::completion_queue(detail::handles_of(tokens...)));
}

/// Tokens in the order in which they end, for a coroutine: see as_completed().
template <class R>
class completion_stream {
  public:
    /// Watches these tokens from now on.
    explicit completion_stream(std::vector<token<R>> tokens)
        : queue_(detail::handles_of(tokens)), tokens_(std::move(tokens)) {}

    /// To be awaited: the next token that has ended, with its result or without; nothing when all
    /// have been delivered.
    [[nodiscard]] task<std::optional<token<R>>> next() {
        if (queue_.left() == 0) co_return std::nullopt;
        co_return std::move(tokens_[co_await queue_.next()]);
    }

    /// How many are still to come.
    [[nodiscard]] std::size_t left() const noexcept { return queue_.left(); }

  private:
    detail::completion_queue queue_;
    std::vector<token<R>> tokens_;
};

/// The tokens of a range in the order in which they end, a progress bar's friend. From
/// apps/examples/gather_progress.cpp:
/// @code
/// auto done = tg::as_completed(tokens);
/// while (auto each = co_await done.next()) {
/// @endcode
/// Dropping it harms no token. Cost: a lock for each token when it begins, and for each that ends.
/// @throws std::bad_alloc; empty_token
template <detail::token_range Tokens>
[[nodiscard]] auto as_completed(const Tokens& tokens) {
    using result = typename detail::token_result<std::ranges::range_value_t<Tokens>>::type;
    return completion_stream<result>(
        std::vector<token<result>>(std::ranges::begin(tokens), std::ranges::end(tokens)));
}
/// The same, without a copy of the handles: results can be moved out.
template <class R>
[[nodiscard]] completion_stream<R> as_completed(std::vector<token<R>>&& tokens) {
    return completion_stream<R>(std::move(tokens));
}

}  // namespace tokengate
