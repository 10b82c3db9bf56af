// SPDX-License-Identifier: Apache-2.0
/// @file
/// The handle of one call.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <tokengate/detail/frame.hpp>
#include <tokengate/weight.hpp>

namespace tokengate {

/// Asks for a wait that runs nothing on the stack of the one who waits but the awaited token, and
/// what is created on this worker while that runs. For callers that hold a lock, or other state
/// that a foreign token must not meet. While nothing of that may run, the worker blocks, and a
/// reserve worker stands in for it; one beyond `reserve_workers`, up to 256 of them, rather than
/// leave nobody in a domain to run what is waited for. Does the lock keep others from running the
/// awaited token? Then that must be able to run on this worker: a token of the same chain, or of a
/// class whose range includes this domain; or the others must take the lock inside
/// tokengate::blocking(). From apps/examples/waiting.cpp:
/// @code
/// const std::scoped_lock guard(books);  // no other token may run on top of this one
/// balance += quote(item).get(tg::isolated);
/// @endcode
struct isolated_wait {
    explicit isolated_wait() = default;
};

/// Asks for such a wait: `t.get(tg::isolated)`, see isolated_wait.
inline constexpr isolated_wait isolated{};

namespace detail {

/// The moment that comes after a duration; one beyond the end of the clock is for ever.
template <class Rep, class Period>
[[nodiscard]] std::chrono::steady_clock::time_point deadline_after(
    std::chrono::duration<Rep, Period> duration) {
    using clock = std::chrono::steady_clock;
    using seconds = std::chrono::duration<double>;
    const clock::time_point now = clock::now();
    if (seconds(duration) >= seconds(clock::time_point::max() - now)) {
        return clock::time_point::max();
    }
    return now + std::chrono::ceil<clock::duration>(duration);
}

struct handle_access;

/// What handles of all result types share: the reference, and every question that does not need
/// the result.
class token_handle {
  public:
    /// A handle that holds no token.
    token_handle() noexcept = default;

    /// Another handle of the same token. One atomic addition.
    token_handle(const token_handle& other) noexcept : node_(other.node_) {
        if (node_ != nullptr) node_->state.retain();
    }
    /// Takes over the token of `other`, which holds none from then on.
    token_handle(token_handle&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    /// Holds the token of `other` from now on, and lets go of its own.
    token_handle& operator=(token_handle other) noexcept {
        std::swap(node_, other.node_);
        return *this;
    }
    /// Lets go of the token, which runs on all the same; its last holder returns its memory.
    ~token_handle() {
        if (node_ != nullptr && node_->state.release()) {
            detail::recycle(*node_, node_->state.phase());
        }
    }

    /// True if the handle holds a token.
    [[nodiscard]] bool valid() const noexcept { return node_ != nullptr; }

    /// Where the token is in its life, at this moment.
    /// @throws empty_token if the handle holds none (so do all questions below)
    [[nodiscard]] token_state state() const { return node("state").state.shown(); }

    /// True once the token is terminal: waiting for it will not block.
    [[nodiscard]] bool done() const { return is_terminal(state()); }

    /// The token's id, unique in its runtime.
    [[nodiscard]] std::uint64_t id() const { return node("id").id; }

    /// Its number in the staggered FIFO order of its class; none if it was not placed by position,
    /// or is anchored to its domain.
    [[nodiscard]] std::optional<std::uint64_t> position() const {
        const std::uint64_t number = node("position").number();
        if (number == no_position) return std::nullopt;
        return number;
    }

    /// The domain in which the gate placed it; once it executes, the one in which it does.
    [[nodiscard]] unsigned domain() const {
        // Relaxed: a number for people to look at, it publishes nothing.
        return node("domain").domain.load(std::memory_order_relaxed);
    }

    /// Its weight class.
    [[nodiscard]] weight weight_class() const { return node("weight_class").weight_class; }

    /// The name of its operation.
    [[nodiscard]] std::string_view operation_name() const {
        return node("operation_name").label->name;
    }

    /// How often its callable has been called so far; known of operations with traits that watch
    /// over their tokens (retry, time limits and others), else 0 until it has begun, then 1.
    [[nodiscard]] unsigned attempts() const { return attempts_of(node("attempts")); }

    /// The seed of the chain that the token belongs to; empty if it is in none. A lead has the seed
    /// of the chain that it has opened. Computed anew by each call: about a microsecond.
    [[nodiscard]] std::string seed() const { return seed_of_chain(node("seed")); }

    /// Kills the token: if it has not begun, it never runs; if it executes, its callable is asked
    /// to stop (tokengate::this_token), whoever waits for it gets token_killed at once, and its
    /// late result is dropped. Callbacks of its stop token run in this call, and must not wait for
    /// tokens or the runtime. True if this call ended it; false
    /// if it was terminal already, or another call is about to kill it. Any thread may call it, a
    /// token too. Takes a lock.
    // NOLINTNEXTLINE(modernize-use-nodiscard): the answer is for those who want to know.
    bool kill() const { return detail::kill(node("kill")); }

    /// The same, and token_killed::reason() will say why. The first reason stays. Empty: none.
    /// @throws std::bad_alloc; the token was not killed then
    // NOLINTNEXTLINE(modernize-use-nodiscard): as above.
    bool kill(std::string_view reason) const { return detail::kill(node("kill"), reason); }

    /// Keeps a token that has not begun from beginning, until resume(). Others pass it by, but for
    /// those with the same serial key, which wait behind it, and block their callers when half of
    /// the room is taken. Its queue_timeout goes on, and it can be killed. Ends, too, when the
    /// runtime stops or drains, or its operation does. True: it is paused; false: it has begun, or
    /// ended. Any thread. One read-modify-write.
    // NOLINTNEXTLINE(modernize-use-nodiscard): the answer is for those who want to know.
    bool pause() const { return detail::pause(node("pause")); }

    /// Ends a pause: the token runs as soon as it is its turn. True if it was paused. Takes a lock.
    // NOLINTNEXTLINE(modernize-use-nodiscard): as above.
    bool resume() const { return detail::resume(node("resume")); }

    /// True between pause() and resume().
    [[nodiscard]] bool paused() const { return node("paused").state.paused(); }

    /// Blocks until the token is terminal and its callable runs no more, for the owner of what the
    /// callable uses: a token that was killed while it ran is terminal at once, but its callable
    /// has to return by itself (this_token::stop_requested()). On a worker, others run meanwhile.
    /// From apps/examples/kill_and_pause.cpp:
    /// @code
    /// each.join();  // from here on it does not touch looked_at any more
    /// @endcode
    /// @throws as wait(); deadlock in the token itself. Callables that join each other hang.
    void join() const { detail::join(node("join")); }

    /// Blocks until the token is terminal, whatever its outcome. A worker runs other tokens
    /// meanwhile. Never throws the token's own exception.
    /// @throws runtime_forked in a child process that has no workers; deadlock if the wait could
    ///         never end
    void wait() const { wait_terminal(node("wait"), helping::anything); }

    /// The same, but a worker runs no foreign token meanwhile: see tokengate::isolated.
    void wait(isolated_wait) const { wait_terminal(node("wait"), helping::isolated); }

    /// Waits at most `duration`. True if the token is terminal. The token itself is not affected
    /// when the time is over. A worker runs tokens meanwhile, the awaited one first, and may return
    /// later by the length of one of them.
    template <class Rep, class Period>
    [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> duration) const {
        return wait_until(deadline_after(duration));
    }

    /// Waits at most until `deadline`. True if the token is terminal.
    [[nodiscard]] bool wait_until(std::chrono::steady_clock::time_point deadline) const {
        return wait_terminal_until(node("wait_until"),
                                   std::chrono::nanoseconds(deadline.time_since_epoch()).count(),
                                   helping::anything);
    }

    /// True if both hold the same token (or both none).
    friend bool operator==(const token_handle&, const token_handle&) noexcept = default;

  protected:
    /// Takes over one reference to `node`.
    explicit token_handle(token_node* node) noexcept : node_(node) {}

    /// What is behind the handle, asked for by this question; for the library.
    /// @throws empty_token
    [[nodiscard]] token_node& node(const char* question) const {
        if (node_ == nullptr) throw_empty(question);
        return *node_;
    }

  private:
    friend struct handle_access;
    token_node* node_ = nullptr;
};

}  // namespace detail

/// A call: where it is in its life, where it runs, and its result.
///
/// Handles are cheap to copy and all refer to one token; the token lives until its last handle and
/// the runtime have let go of it. A handle may outlive its runtime. More than 4 million handles of
/// one token at once end the process.
///
/// Thread safety: different handles of one token may be used from any threads; one handle is like
/// any other object.
///
/// @tparam R what the operation's callable returns: an object, a reference, or void
template <class R>
class token : public detail::token_handle {
    using value_type = detail::stored_result<R>;
    using outcome = detail::outcome_place<R>;

  public:
    using detail::token_handle::token_handle;

    /// Waits for the result and returns it: a reference into the token, valid while a handle of it
    /// lives. Callable any number of times. For move-only results see the overload for rvalues.
    /// @throws whatever the callable threw; token_killed if the token was killed
    [[nodiscard]] decltype(auto) get() const& { return look(detail::helping::anything); }

    /// The same, but a worker runs no foreign token meanwhile: see tokengate::isolated.
    [[nodiscard]] decltype(auto) get(isolated_wait) const& {
        return look(detail::helping::isolated);
    }

    /// Waits for the result and moves it out of the token: `std::move(t).get()`, `op(x).get()`.
    /// If other handles share the token, the result is copied. The cheapest way to fork and join,
    /// since nobody else can have a say in the token meanwhile.
    /// @throws the same, and result_shared if other handles share a move-only result
    R get() && { return take(detail::helping::anything); }

    /// The same, but a worker runs no foreign token meanwhile: see tokengate::isolated.
    R get(isolated_wait) && { return take(detail::helping::isolated); }

    /// Makes a token of an operation that takes the result of this one, once that is there: the
    /// same as next(token). If there is no result (void), the operation takes nothing, and comes
    /// after this one. From apps/examples/dataflow.cpp:
    /// @code
    /// tg::token<std::string> report = std::move(mean).then(describe);
    /// @endcode
    /// @throws as the operation
    template <class Operation>
    // NOLINTNEXTLINE(modernize-use-nodiscard): the token runs, held or not.
    auto then(const Operation& next) const&;
    /// The same; the result is moved there, if nobody else holds this token.
    template <class Operation>
    auto then(const Operation& next) &&;

    /// Takes over one reference to a node; for the library.
    static token adopt(detail::token_node* node) noexcept { return token(node); }

  private:
    explicit token(detail::token_node* node) noexcept : detail::token_handle(node) {}

    [[nodiscard]] decltype(auto) look(detail::helping how) const {
        detail::token_node& node = completed(how);
        if constexpr (std::is_void_v<R>) {
            return;
        } else if constexpr (std::is_reference_v<R>) {
            return static_cast<R>(*outcome::value(node));
        } else {
            return static_cast<const value_type&>(outcome::value(node));
        }
    }

    R take(detail::helping how) {
        const token self = std::move(*this);
        detail::token_node& node = self.completed(how, true);
        if constexpr (std::is_void_v<R>) {
            return;
        } else if constexpr (std::is_reference_v<R>) {
            return static_cast<R>(*outcome::value(node));
        } else {
            if (node.state.sole_handle()) return std::move(outcome::value(node));
            if constexpr (std::is_copy_constructible_v<value_type>) {
                return static_cast<const value_type&>(outcome::value(node));
            } else {
                detail::throw_shared(node);
            }
        }
    }

    /// Waits; throws unless the token completed. `alone`: nobody else can use this handle.
    [[nodiscard]] detail::token_node& completed(detail::helping how, bool alone = false) const {
        detail::token_node& waited = node("get");
        detail::wait_terminal(waited, how, alone);
        const token_state state = waited.state.phase();
        if (state == token_state::failed) std::rethrow_exception(outcome::error(waited));
        if (state != token_state::completed) detail::throw_undelivered(waited);
        return waited;
    }
};

namespace detail {

/// A token, or a range of tokens, of any types.
template <class T>
concept handle_or_handles = std::derived_from<T, token_handle> ||
    std::derived_from<std::remove_cvref_t<std::ranges::range_reference_t<const T>>, token_handle>;

/// The handles of tokens, and of those in ranges, as what they share.
template <handle_or_handles... Tokens>
[[nodiscard]] std::vector<token_handle> handles_of(const Tokens&... tokens) {
    std::vector<token_handle> all;
    [[maybe_unused]] const auto add = [&](const auto& each) {
        if constexpr (std::derived_from<std::remove_cvref_t<decltype(each)>, token_handle>) {
            all.push_back(each);
        } else {
            all.insert(all.end(), std::ranges::begin(each), std::ranges::end(each));
        }
    };
    (add(tokens), ...);
    return all;
}

}  // namespace detail

/// Waits until every token of a range is terminal, whatever its outcome.
template <std::ranges::input_range Tokens>
    requires std::derived_from<std::remove_cvref_t<std::ranges::range_reference_t<Tokens>>,
                               detail::token_handle>
void wait_all(Tokens&& tokens) {
    for (const auto& each : tokens) each.wait();
}

/// Waits until every one of these tokens is terminal, whatever its outcome.
template <class... R>
void wait_all(const token<R>&... tokens) {
    (tokens.wait(), ...);
}

}  // namespace tokengate
