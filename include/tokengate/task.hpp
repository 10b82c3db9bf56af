// SPDX-License-Identifier: Apache-2.0
/// @file
/// Coroutines that call operations and wait for tokens without blocking a thread.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include <tokengate/detail/executor.hpp>
#include <tokengate/detail/source.hpp>
#include <tokengate/token.hpp>

namespace tokengate {

template <class T>
class task;

namespace detail {

struct deque_marks;

/// What the promises of all tasks share.
struct task_promise {
    executor* where = nullptr;              ///< set before it begins
    std::coroutine_handle<> whoever_waits;  ///< goes on when it has ended; none: nobody
    std::exception_ptr error;

    // NOLINTBEGIN(readability-convert-member-functions-to-static): coroutines ask an object.
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }

    struct last_step {
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        template <class Promise>
        [[nodiscard]] std::coroutine_handle<> await_suspend(
            std::coroutine_handle<Promise> ended) const noexcept {
            const std::coroutine_handle<> next = ended.promise().whoever_waits;
            if (next) return next;
            ended.promise().where->ended();
            return std::noop_coroutine();
        }
        void await_resume() const noexcept {}
    };
    [[nodiscard]] last_step final_suspend() const noexcept { return {}; }
    // NOLINTEND(readability-convert-member-functions-to-static)

    void unhandled_exception() noexcept { error = std::current_exception(); }

    // NOLINTNEXTLINE(misc-new-delete-overloads): the one below is told the size.
    static void* operator new(std::size_t bytes) { return allocate_piece(bytes); }
    static void operator delete(void* piece, std::size_t bytes) noexcept {
        free_piece(piece, bytes);
    }

    template <class R>
    [[nodiscard]] auto await_transform(const token<R>& awaited);
    template <class R>
    [[nodiscard]] auto await_transform(token<R>&& awaited);
    template <class T>
    [[nodiscard]] auto await_transform(task<T>&& inner);
    /// What has to know where the coroutine goes on.
    template <class Awaitable>
        requires requires(Awaitable& other, executor& here) { other.in(here); }
    [[nodiscard]] auto await_transform(Awaitable&& other) {
        return std::forward<Awaitable>(other).in(*where);
    }
};

/// The result of a task.
template <class T>
struct task_result {
    std::optional<stored_result<T>> value;
    template <class U>
        requires std::constructible_from<stored_result<T>, U>
    void return_value(U&& result) { value.emplace(std::forward<U>(result)); }
    [[nodiscard]] T take() { return std::move(*value); }
};
template <class T>
struct task_result<T&> {
    T* value = nullptr;
    void return_value(T& result) noexcept { value = std::addressof(result); }
    [[nodiscard]] T& take() const noexcept { return *value; }
};
template <>
struct task_result<void> {
    // NOLINTBEGIN(readability-convert-member-functions-to-static): as above.
    void return_void() const noexcept {}
    void take() const noexcept {}
    // NOLINTEND(readability-convert-member-functions-to-static)
};

/// Waits for a token on behalf of a coroutine.
template <class Token>
class token_awaiter {
  public:
    token_awaiter(executor& where, Token&& awaited)
        : where_(where),
          token_(std::forward<Token>(awaited)),
          node_(handle_access::node_of(token_)) {}
    token_awaiter(token_awaiter&&) = delete;
    token_awaiter& operator=(token_awaiter&&) = delete;
    ~token_awaiter() {
        // Only if the coroutine is destroyed while it waits.
        if (wait_ != nullptr) wait_.release()->give_up();
    }

    [[nodiscard]] bool await_ready() const {
        if (where_.away()) return false;
        if (where_.helps() && !is_terminal(node_.state.phase())) where_.bring_about(node_);
        return is_terminal(node_.state.phase());
    }
    [[nodiscard]] bool await_suspend(std::coroutine_handle<> self) {
        auto* const wait = new token_wait(where_, self, node_);
        wait_.reset(wait);
        const bool away = where_.away();
        // It may go on elsewhere before this returns, and this object be gone.
        if (wait->begin()) return true;
        if (away) {
            wait->end();
            return true;
        }
        wait_.release()->coroutine_wait::give_up(true);
        return false;
    }
    decltype(auto) await_resume() {
        wait_.reset();
        return std::forward<Token>(token_).get();
    }
    [[nodiscard]] const token_handle& token() const noexcept { return token_; }

  private:
    executor& where_;
    // A copy of the handle, so that the coroutine holds the token.
    std::remove_cvref_t<Token> token_;
    token_node& node_;
    std::unique_ptr<token_wait> wait_;
};

/// Calls for a token in the domain of another one, when that has completed, which goes on with a
/// coroutine of sync_wait(); if it cannot run, that goes on where it was. Protocol:
/// lib/coroutine/README.md, "A visit".
/// @param wait  of the coroutine, which keeps it until it has gone on, which may be before this
///              returns
/// @throws what a call throws
void begin_visit(std::shared_ptr<coroutine_wait>& wait, executor& where,
                 std::coroutine_handle<> who, const token_handle& awaited);

/// As token_awaiter, and goes on in the domain of the token.
template <class Token>
class visiting_awaiter {
  public:
    visiting_awaiter(executor& where, Token&& awaited)
        : where_(where), result_(where, std::forward<Token>(awaited)) {}

    [[nodiscard]] bool await_ready() const { return stays() && result_.await_ready(); }
    [[nodiscard]] bool await_suspend(std::coroutine_handle<> self) {
        if (stays()) return result_.await_suspend(self);
        begin_visit(visit_, where_, self, result_.token());
        return true;
    }
    decltype(auto) await_resume() { return result_.await_resume(); }

  private:
    // The callable of an operation does not leave its domain.
    [[nodiscard]] bool stays() const noexcept { return where_.token() != nullptr; }

    executor& where_;
    token_awaiter<Token> result_;
    std::shared_ptr<coroutine_wait> visit_;
};

/// What resume_in_domain() gives.
template <class Token>
class [[nodiscard]] domain_request {
  public:
    explicit domain_request(Token&& awaited) noexcept : awaited_(std::forward<Token>(awaited)) {}
    [[nodiscard]] auto in(executor& where) {
        return visiting_awaiter<Token>(where, std::forward<Token>(awaited_));
    }

  private:
    Token&& awaited_;
};

}  // namespace detail

/// A coroutine that waits for tokens: it calls operations, co_awaits their tokens and other tasks,
/// and holds no thread while it waits.
///
/// As an **orchestrator** it runs inside sync_wait(), on the thread that calls that, whatever it
/// waits for, unless it asks for another place by resume_in_domain(): what it shares with other
/// coroutines there needs no lock. As the **callable of an operation** it is a token: it goes on in
/// the domain where it has begun, and what it creates belongs to its chain.
///
/// It begins when it is waited for. Destroying one that has not begun does nothing. What it refers
/// to, the parameters that are references and what a lambda captures included, must live until it
/// has ended.
///
/// From apps/examples/coroutine.cpp:
/// @code
/// tg::task<int> refine(const tg::operation<int(int)>& step, int value) {
///     for (int i = 0; i < 3; ++i) value = co_await step(value);
///     co_return value;
/// }
/// @endcode
///
/// Thread safety: as any other object.
///
/// @tparam T  what it returns: an object, a reference, or void
template <class T = void>
class [[nodiscard]] task {
  public:
    /// For the compiler, which keeps one in each such coroutine.
    struct promise_type : detail::task_promise, detail::task_result<T> {
        /// The task of this coroutine.
        [[nodiscard]] task get_return_object() noexcept {
            return task(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        /// For the library: see task::take().
        [[nodiscard]] T deliver() {
            if (this->error != nullptr) std::rethrow_exception(std::move(this->error));
            return this->take();
        }
    };

    /// Takes over the coroutine of `other`, which may only be destroyed or assigned to then.
    task(task&& other) noexcept : body_(std::exchange(other.body_, nullptr)) {}
    /// The same; destroys the coroutine that this has had.
    task& operator=(task&& other) noexcept {
        if (this != &other) {
            if (body_) body_.destroy();
            body_ = std::exchange(other.body_, nullptr);
        }
        return *this;
    }
    /// Destroys the coroutine, unless this was moved from.
    ~task() {
        if (body_) body_.destroy();
    }

    /// For the library: the coroutine.
    [[nodiscard]] std::coroutine_handle<promise_type> body() const noexcept { return body_; }

    /// For the library: gives the coroutine away.
    [[nodiscard]] std::coroutine_handle<promise_type> release() noexcept {
        return std::exchange(body_, nullptr);
    }

    /// For the library: what came of it, once it has ended.
    /// @throws what it has thrown
    [[nodiscard]] T take() { return body_.promise().deliver(); }

  private:
    explicit task(std::coroutine_handle<promise_type> body) noexcept : body_(body) {}

    std::coroutine_handle<promise_type> body_;
};

namespace detail {

/// Runs a task inside another one.
template <class T>
class task_awaiter {
  public:
    task_awaiter(executor& where, task<T>&& inner) noexcept : inner_(std::move(inner)) {
        inner_.body().promise().where = &where;
    }

    // NOLINTNEXTLINE(readability-convert-member-functions-to-static): as above.
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    [[nodiscard]] std::coroutine_handle<> await_suspend(std::coroutine_handle<> self) noexcept {
        inner_.body().promise().whoever_waits = self;
        return inner_.body();
    }
    T await_resume() { return inner_.take(); }

  private:
    task<T> inner_;
};

template <class R>
auto task_promise::await_transform(const token<R>& awaited) {
    return token_awaiter<const token<R>&>(*where, awaited);
}
template <class R>
auto task_promise::await_transform(token<R>&& awaited) {
    return token_awaiter<token<R>>(*where, std::move(awaited));
}
template <class T>
auto task_promise::await_transform(task<T>&& inner) {
    return task_awaiter<T>(*where, std::move(inner));
}

/// The executor of one sync_wait(): the thread that calls it.
class waiting_loop final : public executor {
  public:
    waiting_loop() noexcept;

    /// Begins a task, and returns when it has ended. A worker runs what it waits for.
    void run(std::coroutine_handle<> body);
    [[nodiscard]] bool helps() const noexcept override { return helper_ != nullptr; }
    void bring_about(token_node& awaited) override;
    [[nodiscard]] bool is_alone() const noexcept override;
    [[nodiscard]] bool holds_up(const token_node& awaited) const noexcept override;
    void ended() noexcept override;

  private:
    void hold() noexcept override;
    void let_go() noexcept override;
    void wake() noexcept override;
    [[nodiscard]] bool has_news() const noexcept;
    void await_news(const deque_marks& begun);

    worker* const helper_;                  ///< whose thread it is; null if that is no worker
    std::atomic<std::uint32_t> signal_{0};  ///< futex: there is news
    std::atomic<bool> finished_{false};
    std::atomic<std::size_t> held_{0};
};

}  // namespace detail

/// Runs a task on the calling thread, until it has ended, and gives its result. While the task
/// waits, the thread sleeps; a worker runs what it waits for, and then somebody stands in. From
/// apps/examples/coroutine.cpp:
/// @code
/// const int result = tg::sync_wait(refine(step, 4));
/// @endcode
/// @throws what the task throws; into the task, on a worker: deadlock, if what it waits for lies
///         beneath on the worker's stack (cycles of tasks through several workers are not found)
template <class T>
T sync_wait(task<T> whole) {
    detail::waiting_loop here;
    whole.body().promise().where = &here;
    here.run(whole.body());
    return whole.take();
}

/// To be awaited, at once, by an orchestrator: waits for a token as `co_await token` does, and then
/// goes on in the token's domain, where its result is in the cache, until it waits for something
/// else; then it is back on the thread of sync_wait(). From apps/examples/coroutine.cpp:
/// @code
/// const std::vector<double>& samples = co_await tg::resume_in_domain(token);
/// @endcode
/// What it does there is a token of the operation `resume_in_domain (<weight>)`, of the same weight
/// class: it waits for its turn, counts, and what it creates is created there. The thread of
/// sync_wait() sleeps meanwhile. If the token has no result, or that other one is killed, it goes
/// on on the thread of sync_wait(). The callable of an operation stays in its own domain, and so
/// does an orchestrator inside a token of a chain: what that creates belongs to the chain.
///
/// Cost: a call, and a dependent.
/// @throws what `co_await token` throws, deadlock included, and what a call throws:
///         runtime_stopped, also if the token's runtime is gone; runtime_forked; std::bad_alloc
template <class R>
auto resume_in_domain(const token<R>& awaited) {
    return detail::domain_request<const token<R>&>(awaited);
}
/// The same, and gives the result instead of a reference to it: moved out of a token that nobody
/// else holds, else copied.
template <class R>
auto resume_in_domain(token<R>&& awaited) {
    return detail::domain_request<token<R>>(std::move(awaited));
}

}  // namespace tokengate
