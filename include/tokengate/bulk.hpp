// SPDX-License-Identifier: Apache-2.0
/// @file
/// The handle of many calls that were made at once.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <ranges>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <tokengate/detail/bulk_frame.hpp>
#include <tokengate/token.hpp>

namespace tokengate {

/// A token of a bulk that has failed.
struct bulk_failure {
    std::size_t index = 0;     ///< its place in the range
    std::exception_ptr error;  ///< what its callable threw
};

namespace detail {

/// What get() of a bulk returns.
template <class R>
struct bulk_results {
    using type = std::vector<std::remove_cv_t<R>>;
};
template <class R>
struct bulk_results<R&> {
    using type = std::vector<std::reference_wrapper<R>>;
};
template <>
struct bulk_results<void> {
    using type = void;
};

/// What a range gives for each element: an rvalue if the range is a container that is moved from.
template <class Range>
inline constexpr bool gives_elements_away =
    !std::is_lvalue_reference_v<Range> && !std::ranges::view<std::remove_cvref_t<Range>> &&
    !std::ranges::borrowed_range<Range>;
template <class Range>
using bulk_element =
    std::conditional_t<gives_elements_away<Range>, std::ranges::range_rvalue_reference_t<Range>,
                       std::ranges::range_reference_t<Range>>;

template <class E>
concept tuple_like = requires {
    std::tuple_size<std::remove_cvref_t<E>>::value;
};
template <class E, class Numbers, class... D>
struct spreads_over;
template <class E, std::size_t... I, class... D>
struct spreads_over<E, std::index_sequence<I...>, D...>
    : std::bool_constant<(std::convertible_to<decltype(std::get<I>(std::declval<E>())), D> &&
                          ...)> {};
template <class E, class... D>
concept tuple_of = tuple_like<E> && std::tuple_size_v<std::remove_cvref_t<E>>
== sizeof...(D) && spreads_over<E, std::index_sequence_for<D...>, D...>::value;

/// A range whose elements are the arguments of calls with stored parameters D: for one parameter
/// what converts to it, for several what std::apply takes apart.
template <class Range, class... D>
concept arguments_range = std::ranges::input_range<Range> && sizeof...(D) > 0 &&
                          ((sizeof...(D) == 1 &&
                            (std::convertible_to<bulk_element<Range>, D> && ...)) ||
                           (sizeof...(D) > 1 && tuple_of<bulk_element<Range>, D...>));

}  // namespace detail

/// Many calls of one operation, made at once by operation::bulk(). Each of them is a token like any
/// other, with an id of its own, and fails or completes alone; but they share one handle and one
/// piece of memory, so that each costs a tenth of a call.
///
/// Tokens of a bulk run in stretches: up to 64 that are next to each other run one after the other
/// on one worker. So they must not block until another token of the same bulk has begun or ended;
/// waiting by tokens' own waits is safe, or throws `deadlock`.
///
/// Sticky operations and those with external calls anchor each call by itself, and those with a
/// run_timeout time it: there the bulk is made of ordinary tokens, one by one, behind the same
/// functions.
///
/// A handle can be moved, not copied. It may be dropped at once, and may outlive its runtime.
///
/// Thread safety: const members may be called from several threads at once.
///
/// @tparam R what the operation's callable returns: an object, a reference, or void
template <class R>
class bulk {
    using results = typename detail::bulk_results<R>::type;

  public:
    /// A handle that holds nothing.
    bulk() noexcept = default;
    /// Takes over what `other` holds, which holds nothing from then on.
    bulk(bulk&& other) noexcept
        : core_(std::exchange(other.core_, nullptr)),
          tokens_(std::move(other.tokens_)),
          valid_(std::exchange(other.valid_, false)) {}
    /// The same; tokens that this has held run all the same.
    bulk& operator=(bulk&& other) noexcept {
        bulk taken = std::move(other);
        std::swap(core_, taken.core_);
        std::swap(tokens_, taken.tokens_);
        std::swap(valid_, taken.valid_);
        return *this;
    }
    bulk(const bulk&) = delete;
    bulk& operator=(const bulk&) = delete;
    /// Lets go of the tokens, which run all the same.
    ~bulk() {
        if (core_ != nullptr) detail::let_go(*core_);
    }

    /// True if it came from a call, of whatever size, and was not moved from.
    [[nodiscard]] bool valid() const noexcept { return valid_; }

    /// How many tokens it has.
    /// @throws empty_token if the handle holds nothing (so do all questions below)
    [[nodiscard]] std::size_t size() const {
        expect_valid("size");
        return core_ != nullptr ? core_->count : tokens_.size();
    }

    /// The id of a token; they are consecutive, but for operations that are sticky or leads.
    /// @param index  its place in the range, below size()
    [[nodiscard]] std::uint64_t id(std::size_t index = 0) const {
        expect_valid("id");
        return core_ != nullptr ? core_->first_id + index : tokens_[index].id();
    }

    /// Where a token is in its life, at this moment; if it is killed, final when kill() has come
    /// back. `executing` also says that others of the same stretch run. Cost: two loads.
    /// @param index  its place in the range, below size()
    [[nodiscard]] token_state state(std::size_t index) const {
        expect_valid("state");
        return core_ != nullptr ? detail::state_of(*core_, index) : tokens_[index].state();
    }

    /// True once all tokens are terminal: waiting will not block. Cost: a load for each domain.
    [[nodiscard]] bool done() const {
        expect_valid("done");
        if (core_ != nullptr) {
            for (const detail::token_node* each : core_->shares) {
                if (!is_terminal(each->state.phase())) return false;
            }
        }
        return std::all_of(tokens_.begin(), tokens_.end(),
                           [](const token<R>& each) { return each.done(); });
    }

    /// Blocks until all tokens are terminal, whatever their outcomes. A worker runs them itself, or
    /// others. Never throws the tokens' own exceptions.
    /// @throws runtime_forked in a child process that has no workers; deadlock if the wait could
    ///         never end, also in a token of this bulk
    void wait() const { wait_for_all("wait", detail::helping::anything); }

    /// The same, but a worker runs no foreign token meanwhile: see tokengate::isolated.
    void wait(isolated_wait) const { wait_for_all("wait", detail::helping::isolated); }

    /// Waits at most `duration`. True if all tokens are terminal. A worker runs tokens meanwhile,
    /// and may return later by the length of a stretch of them.
    template <class Rep, class Period>
    [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> duration) const {
        return wait_until(detail::deadline_after(duration));
    }

    /// Waits at most until `deadline`. True if all tokens are terminal.
    [[nodiscard]] bool wait_until(std::chrono::steady_clock::time_point deadline) const {
        expect_valid("wait_until");
        if (core_ != nullptr) {
            const auto until = std::chrono::nanoseconds(deadline.time_since_epoch()).count();
            for (detail::token_node* each : core_->shares) {
                if (!detail::wait_terminal_until(*each, until, detail::helping::anything)) {
                    return false;
                }
            }
        }
        return std::all_of(tokens_.begin(), tokens_.end(),
                           [&](const token<R>& each) { return each.wait_until(deadline); });
    }

    /// Waits for all results and returns copies of them, in the order of the range; nothing for
    /// void, reference wrappers for references. From apps/examples/bulk.cpp:
    /// @code
    /// tg::bulk<int> all = square.bulk(numbers);  // at once: a thousand tokens
    /// std::vector<int> results = all.get();      // in the order of the range
    /// @endcode
    /// @throws the first error in the order of the range: what a callable threw, or token_killed
    // NOLINTNEXTLINE(modernize-use-nodiscard): who only wants to know that all is well drops it.
    results get() const& requires(!std::is_object_v<R> || std::copy_constructible<R>) {
        return look(detail::helping::anything);
    }

    /// The same, but a worker runs no foreign token meanwhile: see tokengate::isolated.
    // NOLINTNEXTLINE(modernize-use-nodiscard): who only wants to know that all is well drops it.
    results get(isolated_wait) const& requires(!std::is_object_v<R> || std::copy_constructible<R>) {
        return look(detail::helping::isolated);
    }

    /// Waits for all results and moves them out: `std::move(b).get()`, `op.bulk(range).get()`.
    /// @throws the same
    results get() && { return take(detail::helping::anything); }

    /// The same, but a worker runs no foreign token meanwhile: see tokengate::isolated.
    results get(isolated_wait) && { return take(detail::helping::isolated); }

    /// Waits for all tokens. Those that threw, in the order of the range.
    [[nodiscard]] std::vector<bulk_failure> failures() const {
        wait_for_all("failures", detail::helping::anything);
        std::vector<bulk_failure> found;
        if (core_ != nullptr) {
            for (std::size_t i = 0; i < core_->count; ++i) {
                if (state_at(i) == token_state::failed) {
                    found.push_back({.index = i, .error = slot::error(*core_, i)});
                }
            }
        }
        for (std::size_t i = 0; i < tokens_.size(); ++i) {
            if (tokens_[i].state() != token_state::failed) continue;
            try {
                static_cast<void>(tokens_[i].get());
            } catch (...) {
                found.push_back({.index = i, .error = std::current_exception()});
            }
        }
        return found;
    }

    /// Kills all tokens that are not terminal: those that have not begun never run; of those that
    /// execute, late results are dropped. Whoever waits is released at once. True if this call
    /// ended anything. Any thread may call it, a token too. Takes locks.
    // NOLINTNEXTLINE(modernize-use-nodiscard): the answer is for those who want to know.
    bool kill() const { return kill({}); }

    /// The same, and token_killed::reason() will say why. The first reason stays. Empty: none.
    /// @throws std::bad_alloc; some of the tokens were killed then
    // NOLINTNEXTLINE(modernize-use-nodiscard): as above.
    bool kill(std::string_view reason) const {
        expect_valid("kill");
        bool any = core_ != nullptr && detail::kill(*core_, reason);
        for (const token<R>& each : tokens_) any = each.kill(reason) || any;
        return any;
    }

    /// Blocks until all tokens are terminal and none of their callables runs any more: see
    /// token::join().
    void join() const {
        expect_valid("join");
        if (core_ != nullptr) {
            for (detail::token_node* each : core_->shares) detail::join(*each);
        }
        for (const token<R>& each : tokens_) each.join();
    }

    /// Takes over the handle of a bulk (null: it is empty); for the library.
    static bulk adopt(detail::bulk_core* core) noexcept { return bulk(core, {}); }

    /// The same for ordinary tokens.
    static bulk adopt(std::vector<token<R>> tokens) noexcept {
        return bulk(nullptr, std::move(tokens));
    }

  private:
    using slot = detail::bulk_slot<R>;

    bulk(detail::bulk_core* core, std::vector<token<R>> tokens) noexcept
        : core_(core), tokens_(std::move(tokens)), valid_(true) {}

    void expect_valid(const char* question) const {
        if (!valid_) detail::throw_empty(question);
    }

    [[nodiscard]] token_state state_at(std::size_t index) const noexcept {
        // Acquire: pairs with the release of who ran it; its outcome is visible.
        return core_->states[index].load(std::memory_order_acquire);
    }

    void wait_for_all(const char* question, detail::helping how) const {
        expect_valid(question);
        if (core_ != nullptr) {
            for (detail::token_node* each : core_->shares) detail::wait_terminal(*each, how);
        }
        for (const token<R>& each : tokens_) {
            if (how == detail::helping::isolated) {
                each.wait(isolated);
            } else {
                each.wait();
            }
        }
    }

    /// Waits; throws unless all have completed.
    void expect_completed(detail::helping how) const {
        wait_for_all("get", how);
        if (core_ != nullptr) {
            for (const detail::token_node* each : core_->shares) {
                const token_state ended = each->state.phase();
                if (ended != token_state::completed) throw_first_error();
            }
        }
        for (const token<R>& each : tokens_) {
            if (each.state() != token_state::completed) static_cast<void>(each.get());
        }
    }

    [[noreturn]] void throw_first_error() const {
        for (std::size_t i = 0; i < core_->count; ++i) {
            const token_state ended = detail::state_of(*core_, i);
            if (ended == token_state::failed) std::rethrow_exception(slot::error(*core_, i));
            if (ended != token_state::completed) detail::throw_undelivered(*core_, i);
        }
        // Killed when all had just ended.
        detail::throw_undelivered(*core_, 0);
    }

    [[nodiscard]] results look(detail::helping how) const {
        expect_completed(how);
        if constexpr (!std::is_void_v<R>) {
            results all;
            all.reserve(size());
            if (core_ != nullptr) {
                for (std::size_t i = 0; i < core_->count; ++i) {
                    if constexpr (std::is_reference_v<R>) {
                        all.push_back(*slot::value(*core_, i));
                    } else {
                        all.push_back(std::as_const(slot::value(*core_, i)));
                    }
                }
            }
            for (const token<R>& each : tokens_) all.push_back(each.get());
            return all;
        }
    }

    [[nodiscard]] results take(detail::helping how) {
        bulk self = std::move(*this);
        if constexpr (std::is_object_v<R>) {
            self.expect_completed(how);
            results all;
            all.reserve(self.size());
            if (self.core_ != nullptr) {
                for (std::size_t i = 0; i < self.core_->count; ++i) {
                    all.push_back(std::move(slot::value(*self.core_, i)));
                }
            }
            for (token<R>& each : self.tokens_) all.push_back(std::move(each).get());
            return all;
        } else {
            return self.look(how);
        }
    }

    detail::bulk_core* core_ = nullptr;  ///< null: it is empty, or of ordinary tokens
    std::vector<token<R>> tokens_;
    bool valid_ = false;
};

}  // namespace tokengate
