// SPDX-License-Identifier: Apache-2.0
/// @file
/// Tokens as senders, and a scheduler that makes them: std::execution (P2300) by stdexec. Not part
/// of tokengate.hpp, since it includes stdexec's headers: who includes this needs those.
#pragma once

#if !__has_include(<stdexec/execution.hpp>)
#error "tokengate/senders.hpp needs the headers of stdexec (github.com/NVIDIA/stdexec)"
#endif

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <stdexec/execution.hpp>

#include <tokengate/detail/end_watch.hpp>
#include <tokengate/detail/frame.hpp>
#include <tokengate/detail/scheduled.hpp>
#include <tokengate/detail/source.hpp>
#include <tokengate/operation.hpp>
#include <tokengate/runtime.hpp>
#include <tokengate/token.hpp>
#include <tokengate/weight.hpp>

namespace tokengate {

namespace detail {

/// What makes a type a sender; its name is not the same in all versions of stdexec (P4154).
using sender_tag = decltype(stdexec::just())::sender_concept;

template <class Receiver>
using stop_token_of = std::decay_t<decltype(stdexec::get_stop_token(
    stdexec::get_env(std::declval<const Receiver&>())))>;

// Operation states name no tag: that was renamed, too, and stdexec asks for none.

/// Goes on with a receiver inside a token.
template <class Receiver>
class schedule_state : schedulable {
  public:
    schedule_state(operation_core& operation, Receiver&& receiver)
        : schedulable{&on_over}, operation_(operation), receiver_(std::move(receiver)) {}
    schedule_state(schedule_state&&) = delete;
    schedule_state& operator=(schedule_state&&) = delete;
    ~schedule_state() = default;

    void start() & noexcept {
        if (stop_requested()) {
            stdexec::set_stopped(std::move(receiver_));
        } else {
            submit(operation_, *this);
        }
    }

  private:
    [[nodiscard]] bool stop_requested() const noexcept {
        return stdexec::get_stop_token(stdexec::get_env(receiver_)).stop_requested();
    }

    static void on_over(schedulable& which, outcome how, const std::exception_ptr& error) noexcept {
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): it is this function's.
        auto& self = static_cast<schedule_state&>(which);
        if (how == outcome::refused) {
            stdexec::set_error(std::move(self.receiver_), std::exception_ptr(error));
        } else if (how == outcome::dropped || self.stop_requested()) {
            stdexec::set_stopped(std::move(self.receiver_));
        } else {
            stdexec::set_value(std::move(self.receiver_));
        }
    }

    operation_core& operation_;
    Receiver receiver_;
};

/// Goes on with a receiver when a token has ended, or the receiver asks to stop.
template <class R, class Receiver>
class await_state : end_watch {
  public:
    await_state(token<R>&& source, Receiver&& receiver)
        : end_watch(handle_access::node_of(source), &on_over),
          token_(std::move(source)),
          receiver_(std::move(receiver)) {}
    await_state(await_state&&) = delete;
    await_state& operator=(await_state&&) = delete;
    ~await_state() = default;

    void start() & noexcept {
        auto stop_token = stdexec::get_stop_token(stdexec::get_env(receiver_));
        if (stop_token.stop_requested()) {
            stdexec::set_stopped(std::move(receiver_));
            return;
        }
        if (!begin()) {
            over_in_turn();
            return;
        }
        if (stop_token.stop_possible()) on_stop_.emplace(std::move(stop_token), stopper{this});
        ready();
    }

  private:
    struct stopper {
        await_state* which;
        void operator()() const noexcept { which->stop(); }
    };
    using callback = stdexec::stop_callback_for_t<stop_token_of<Receiver>, stopper>;

    static void on_over(end_watch& which, outcome how) noexcept {
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): it is this function's.
        auto& self = static_cast<await_state&>(which);
        // Waits for one that runs on another thread, which has come too late, or has left the rest
        // to ready().
        self.on_stop_.reset();
        if (how == outcome::stopped) {
            stdexec::set_stopped(std::move(self.receiver_));
        } else {
            self.deliver();
        }
    }

    void deliver() noexcept {
        const token_state ended = awaited->state.phase();
        if (ended == token_state::killed) {
            stdexec::set_stopped(std::move(receiver_));
            return;
        }
        std::exception_ptr error;
        if (ended == token_state::failed) {
            error = outcome_place<R>::error(*awaited);
        } else {
            try {
                if constexpr (std::is_void_v<R>) {
                    std::move(token_).get();
                    stdexec::set_value(std::move(receiver_));
                } else {
                    stdexec::set_value(std::move(receiver_), std::move(token_).get());
                }
                return;
            } catch (...) {
                // It was timed out, or its result could not be copied.
                error = std::current_exception();
            }
        }
        stdexec::set_error(std::move(receiver_), std::move(error));
    }

    token<R> token_;
    Receiver receiver_;
    std::optional<callback> on_stop_;
};

template <class R>
struct sends {
    using type = stdexec::set_value_t(R);
};
template <>
struct sends<void> {
    using type = stdexec::set_value_t();
};

}  // namespace detail

/// What as_sender() gives.
template <class R>
class token_sender {
  public:
    /// As P2300 asks for it.
    using sender_concept = detail::sender_tag;
    /// How it can complete: see as_sender().
    using completion_signatures =
        stdexec::completion_signatures<typename detail::sends<R>::type,
                                       stdexec::set_error_t(std::exception_ptr),
                                       stdexec::set_stopped_t()>;

    /// The same, as C++26 asks for it.
    template <class Self, class... Env>
    [[nodiscard]] static consteval auto get_completion_signatures() noexcept {
        return completion_signatures{};
    }

    /// As as_sender().
    /// @throws empty_token
    explicit token_sender(token<R> awaited) : token_(std::move(awaited)) {
        static_cast<void>(detail::handle_access::node_of(token_));
    }

    /// What waits for the token, once it is started, and then goes on with the receiver.
    template <class Receiver>
    [[nodiscard]] auto connect(Receiver receiver) && {
        return detail::await_state<R, Receiver>(std::move(token_), std::move(receiver));
    }
    /// The same, with another handle of the token.
    template <class Receiver>
    [[nodiscard]] auto connect(Receiver receiver) const& {
        return detail::await_state<R, Receiver>(token<R>(token_), std::move(receiver));
    }

  private:
    token<R> token_;
};

/// A token as a sender, which holds no thread while it waits. It completes with
/// - set_value(result) if the token completes: the result is moved out of a token that nobody else
///   holds, else copied; set_value() if there is none;
/// - set_error(std::exception_ptr) if the token fails or is timed out, or its result is move-only
///   and shared: what token::get() would throw;
/// - set_stopped() if the token is killed, or the receiver's stop token asks to stop before the
///   token has ended. The token goes on then: whoever stops waiting harms no token.
///
/// It completes on the thread that ends the token, mostly a worker; on the one that asks to stop;
/// or, if the token has ended already, on the one that starts it (inside start(); after it, if that
/// is inside some thirty completions already). So what comes behind it must be short, and must not
/// block, nor wait for another sender there: whoever has more to do goes on elsewhere first. From
/// apps/examples/senders.cpp:
/// @code
/// auto report = tg::as_sender(measure(20)) | stdexec::continues_on(tg::get_scheduler(rt)) |
///               stdexec::then([](int value) { return "got " + std::to_string(value); });
/// @endcode
/// Chains of any length may be behind each other: the stack does not grow with them.
///
/// Thread safety: as any other object. Cost: a lock when it is started, and for a stop; no
/// allocation.
/// @throws empty_token if the handle holds none
template <class R>
[[nodiscard]] token_sender<R> as_sender(token<R> awaited) {
    return token_sender<R>(std::move(awaited));
}

/// Makes what is behind it go on inside tokens of one operation: a P2300 scheduler. A cheap handle,
/// valid as long as its runtime; equal if the operation is the same.
///
/// schedule(), and with it stdexec::starts_on() and stdexec::continues_on(), gives a sender that
/// makes a token when it is started. It completes with
/// - set_value() inside the token, on a worker of the runtime: what is behind it is a part of the
///   token, up to the next scheduler. The operation's traits hold for it: weight, limits, storage;
/// - set_stopped() if the receiver's stop token has asked to stop before the token began, or the
///   token ended before that without having run: killed, or timed out, or for a newer one;
/// - set_error(std::exception_ptr) if the call throws, since the runtime is stopped or the like.
///
/// Blocks where a call of the operation does, at a limit. Its progress is `parallel`: what has
/// begun goes on, on a thread of its own; what has not, has to wait for a worker. (Who waits for
/// tokens by token::get() lets others run on top of it, and goes on when these have returned.)
///
/// Thread safety: different handles from any threads. Cost: as operation::post().
class scheduler {
  public:
    class sender;

    /// For the tokens of this operation, whose callable is that of for_scheduler(). From
    /// apps/examples/senders.cpp:
    /// @code
    /// const tg::scheduler disk(
    ///     rt.operation("disk", {.storage = tg::storage::slow}, tg::for_scheduler()));
    /// @endcode
    explicit scheduler(const operation<void(const detail::scheduled&)>& work) noexcept
        : operation_(&detail::operation_access::core_of(work)) {}

    /// A sender that completes inside a token.
    [[nodiscard]] sender schedule() const noexcept;

    /// That its progress is `parallel`, see above.
    // NOLINTNEXTLINE(readability-convert-member-functions-to-static): stdexec asks an object.
    [[nodiscard]] stdexec::forward_progress_guarantee query(
        stdexec::get_forward_progress_guarantee_t) const noexcept {
        return stdexec::forward_progress_guarantee::parallel;
    }

    /// True if both make tokens of the same operation.
    friend bool operator==(const scheduler&, const scheduler&) noexcept = default;

  private:
    friend scheduler get_scheduler(runtime& rt, weight weight_class);
    explicit scheduler(detail::operation_core& operation) noexcept : operation_(&operation) {}

    detail::operation_core* operation_;
};

/// What scheduler::schedule() gives.
class scheduler::sender {
  public:
    /// As P2300 asks for it.
    using sender_concept = detail::sender_tag;
    /// How it can complete: see tokengate::scheduler.
    using completion_signatures = stdexec::completion_signatures<
        stdexec::set_value_t(), stdexec::set_error_t(std::exception_ptr), stdexec::set_stopped_t()>;

    /// The same, as C++26 asks for it.
    template <class Self, class... Env>
    [[nodiscard]] static consteval auto get_completion_signatures() noexcept {
        return completion_signatures{};
    }

    /// Where it completes.
    class attributes {
      public:
        /// The scheduler that it came from.
        [[nodiscard]] scheduler query(
            stdexec::get_completion_scheduler_t<stdexec::set_value_t>) const noexcept {
            return where_;
        }

      private:
        friend class sender;
        explicit attributes(const scheduler& where) noexcept : where_(where) {}
        scheduler where_;
    };

    /// Where it completes, as P2300 asks for it.
    [[nodiscard]] attributes get_env() const noexcept { return attributes(where_); }

    /// What makes a token, once it is started, and goes on with the receiver inside that.
    template <class Receiver>
    [[nodiscard]] auto connect(Receiver receiver) const {
        return detail::schedule_state<Receiver>(*where_.operation_, std::move(receiver));
    }

  private:
    friend class scheduler;
    explicit sender(const scheduler& where) noexcept : where_(where) {}

    scheduler where_;
};

inline scheduler::sender scheduler::schedule() const noexcept { return sender(*this); }

/// The callable of an operation that a scheduler makes tokens of.
[[nodiscard]] constexpr detail::run_scheduled for_scheduler() noexcept { return {}; }

/// The scheduler of a runtime for a weight class: always the same, of an operation without other
/// traits, which the runtime has by itself. Any thread. Takes a lock the first time.
/// @throws operation_error if there is no room for that operation; runtime_forked
[[nodiscard]] inline scheduler get_scheduler(runtime& rt, weight weight_class = weight::medium) {
    return scheduler(detail::scheduler_operation(rt, weight_class));
}

}  // namespace tokengate
