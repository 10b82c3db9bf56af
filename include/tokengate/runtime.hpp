// SPDX-License-Identifier: Apache-2.0
/// @file
/// The runtime: domains, workers, gate and operations.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <tokengate/config.hpp>
#include <tokengate/control.hpp>
#include <tokengate/dataflow.hpp>
#include <tokengate/detail/suspension.hpp>
#include <tokengate/health.hpp>
#include <tokengate/locality.hpp>
#include <tokengate/operation.hpp>
#include <tokengate/stats.hpp>
#include <tokengate/topology.hpp>

namespace tokengate {

class runtime;

namespace detail {

/// What is behind a runtime.
[[nodiscard]] runtime_core& core_of(runtime& rt) noexcept;

}  // namespace detail

/// A token that was still executing when stop() gave up waiting for it.
struct straggler {
    std::string operation;  ///< the name of its operation
    std::uint64_t id = 0;   ///< its token id
    unsigned domain = 0;    ///< the domain whose worker it occupies
};

/// How a stop ended.
struct stop_report {
    bool drained = false;               ///< everything that was accepted has run to its end
    std::uint64_t killed = 0;           ///< tokens that the deadline killed
    std::vector<straggler> stragglers;  ///< killed tokens whose callables still run
};

/// Executes tokens on pinned workers, one domain per core.
///
/// Several runtimes may live side by side in a process. The destructor drains: it waits until
/// everything that was accepted has finished.
///
/// Thread safety: all members may be called from any thread, also from inside a token, except the
/// constructor and destructor.
///
/// From apps/examples/hello.cpp:
/// @code
/// tg::runtime rt;
///
/// auto greet =
///     rt.operation("greet", [](const std::string& name) { return "Hello, " + name + "!"; });
///
/// tg::token<std::string> t = greet("world");  // at once; the gate has placed it
/// std::cout << t.get() << "\n";               // blocks; on a worker it runs others instead
/// @endcode
class runtime {
  public:
    /// Reads topology and settings, starts and pins the workers. Blocks until all of them run.
    /// @throws config_error, topology_error; resource_error if a worker cannot be started
    explicit runtime(const config& wanted = {});

    /// Drains, then stops. Blocks until every token has finished. In a child process after fork()
    /// it lets go of everything without waiting. Must not run inside one of its own tokens.
    ~runtime();

    runtime(const runtime&) = delete;
    runtime& operator=(const runtime&) = delete;

    /// Declares an operation. The callable is kept until the runtime is destroyed and may be called
    /// by several workers at once.
    ///
    /// @param name    unique in this runtime, not empty; used in reports and errors
    /// @param traits  how its tokens are treated
    /// @param callable anything callable; may be move-only. With one signature the result is an
    ///                operation of that signature, otherwise a generic_operation. If its first
    ///                parameter is a std::stop_token, that is no parameter of the operation: each
    ///                run gets its own, this_token::stop_token().
    /// @throws operation_error if the name is empty or taken, or if there are `operation_limit`
    ///         operations already
    template <class F>
    [[nodiscard]] auto operation(std::string_view name, const detail::traits_for<F>& traits,
                                 F&& callable) {
        return operation_of<true>(name, traits, std::forward<F>(callable));
    }

    /// The same with default traits.
    template <class F>
    [[nodiscard]] auto operation(std::string_view name, F&& callable) {
        return operation_of<false>(name, detail::traits_for<F>{}, std::forward<F>(callable));
    }

    /// For calls that are to come after tokens, of any runtime, without taking their results. From
    /// apps/examples/dataflow.cpp:
    /// @code
    /// rt.after(left, right).call(announce, "both stations have answered").wait();
    /// @endcode
    /// @param tokens  tokens, and ranges of them
    /// @throws empty_token by the call, if a handle holds none; std::bad_alloc
    template <detail::handle_or_handles... Tokens>
    [[nodiscard]] after_tokens after(const Tokens&... tokens) const {
        return after_tokens(detail::handles_of(tokens...));
    }

    /// Blocks until no accepted token is unfinished, at one moment. Others may submit meanwhile;
    /// then that moment may be late. On a worker it throws, since its own token is unfinished.
    /// @throws error if called from inside a token of this runtime
    void wait_idle();

    /// The same for at most `limit`. True if the moment came.
    [[nodiscard]] bool wait_idle_for(std::chrono::nanoseconds limit);

    /// Pauses all operations, those too that are declared meanwhile: see operation::pause().
    /// Idempotent; no effect while the runtime stops.
    /// @throws runtime_forked in a child process (so do the following)
    void pause();

    /// Ends the pause of all operations, those too that were paused or drained one by one, and
    /// drain().
    void resume();

    /// Stops admission and finishes what was admitted, as stop() does, but the workers stay:
    /// resume() opens the runtime again. Ends a pause.
    /// @throws error inside a token of this runtime
    void drain();

    /// The same for at most `limit`. True if nothing is in flight.
    [[nodiscard]] bool drain_for(std::chrono::nanoseconds limit);

    /// Kills all tokens that were called before: see operation::kill().
    std::size_t kill(std::string_view reason = {});

    /// Kills all of them that have not begun: see operation::cancel().
    std::size_t cancel(std::string_view reason = {});

    /// Stops admission, waits until all accepted tokens have finished, then ends the workers.
    /// Calls from outside throw runtime_stopped from now on; tokens that still run may call
    /// operations until they are done. Idempotent. Inside a token it only stops admission, and the
    /// next stop() from outside or the destructor does the rest.
    stop_report stop();

    /// The same, but at the deadline what waits is killed, and what executes is killed too: its
    /// waiters get token_killed at once and its result is dropped. A callable that never returns
    /// is reported; its worker ends when it does.
    stop_report stop(std::chrono::nanoseconds deadline);

    /// Starts again after a complete stop(). Operations stay declared. No effect while running.
    /// @throws error if a straggler still runs; resource_error as the constructor
    void start();

    /// True between construction or start(), and stop().
    [[nodiscard]] bool running() const noexcept;

    /// The settings that hold.
    [[nodiscard]] const tokengate::settings& settings() const noexcept;

    /// The machine as this runtime sees it.
    [[nodiscard]] const tokengate::topology& topology() const noexcept;

    /// A snapshot of the counters. Cost: proportional to threads times operations, and to sticky
    /// slots, some 50 microseconds by default; no lock on the paths that count.
    [[nodiscard]] runtime_stats stats() const;

    /// The last executions of all operations, newest first: up to as many as the setting `history`
    /// says, none by default. Any thread. Cost: a copy, with a lock held that each execution takes.
    /// From apps/examples/health.cpp:
    /// @code
    /// for (const tg::execution& each : rt.history()) {
    /// @endcode
    /// @throws std::bad_alloc; runtime_forked in a child process
    [[nodiscard]] std::vector<execution> history() const;

    /// From now on `hook` is called with each alert; in place of the one before, which may be in a
    /// call still. An empty one: none is, as at first. Any thread, the hook too. From
    /// apps/examples/health.cpp:
    /// @code
    /// rt.on_alert([&](const tg::alert& what) {
    ///     const std::scoped_lock guard(lock);
    ///     std::cout << tg::to_string(what.kind) << ": " << what.text << "\n";
    /// @endcode
    /// It is called on the thread that has noticed, by several at once, with no lock held: on
    /// workers before their token has ended, on those that call, and, if a callable is slow, on the
    /// thread that keeps the time. It may ask for stats(), health() and history(), and call
    /// operations; it must not wait for tokens or the runtime. What it throws is dropped.
    /// @throws std::bad_alloc; runtime_forked in a child process
    void on_alert(std::function<void(const alert&)> hook);

    /// The chains that are open at this moment, in no order. Cost: proportional to the chains that
    /// the process has ever had open at once; nothing that creates or ends tokens waits for it.
    /// From apps/examples/conductor.cpp:
    /// @code
    /// for (const tg::chain_info& each : rt.open_chains()) {
    /// @endcode
    [[nodiscard]] std::vector<chain_info> open_chains() const;

  private:
    friend detail::runtime_core& detail::core_of(runtime& rt) noexcept;

    /// `retriable`: the traits may ask for retries.
    template <bool retriable, class F>
    [[nodiscard]] auto operation_of(std::string_view name, const detail::traits_for<F>& traits,
                                    F&& callable) {
        using stored = std::decay_t<F>;
        if constexpr (detail::has_signature<stored>) {
            return declare<retriable>(name, traits, std::forward<F>(callable),
                                      std::type_identity<detail::signature_of<stored>>{});
        } else {
            return generic_operation<stored>(adopt(name, traits,
                                                   std::make_unique<detail::callable_core<stored>>(
                                                       nullptr, std::forward<F>(callable))));
        }
    }

    template <bool retriable, class F, class R, class... P>
    [[nodiscard]] auto declare(std::string_view name, const operation_traits& traits, F&& callable,
                               std::type_identity<R(P...)>) {
        static_assert((detail::owned_parameter<P> && ...),
                      "tokengate: a token owns its arguments, so an operation cannot take one by "
                      "non-const reference. Take it by value, by const reference or by rvalue "
                      "reference, or pass std::ref for an object that outlives the token.");
        using given = std::decay_t<F>;
        using stored = std::conditional_t<detail::wants_stop_token<given>,
                                          detail::stoppable<given, R, P...>, given>;
        using result = typename detail::delivered<R>::type;
        const detail::frame_type* frames = nullptr;
        if constexpr (detail::delivered<R>::by_coroutine) {
            static_assert(!detail::wants_stop_token<given>,
                          "tokengate: a callable that is a coroutine gets no stop token, which "
                          "would be gone before it has ended. Leave it out: the coroutine is "
                          "destroyed if its token is killed while it waits, and may ask "
                          "this_token::stop_requested() while it runs.");
            frames = &detail::coroutine_functions<stored, result, P...>::type;
        } else if constexpr (retriable) {
            frames = &detail::repeatable_frame<stored, R, P...>;
        } else {
            frames = &detail::frame_functions<stored, R, P...>::type;
        }
        return tokengate::operation<result(P...)>(adopt(
            name, traits,
            std::make_unique<detail::callable_core<stored>>(frames, std::forward<F>(callable))));
    }

    // The library reads the traits, so that a new one changes nothing in the code of users.
    detail::operation_core& adopt(std::string_view name, const operation_traits& traits,
                                  std::unique_ptr<detail::operation_core> core);

    std::unique_ptr<detail::runtime_core> core_;
};

}  // namespace tokengate
