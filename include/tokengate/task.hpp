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
            return next ? next : std::noop_coroutine();
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

    [[nodiscard]] bool await_ready() const noexcept { return is_terminal(node_.state.phase()); }
    [[nodiscard]] bool await_suspend(std::coroutine_handle<> self) {
        auto* const wait = new token_wait(where_, self, node_);
        wait_.reset(wait);
        // It may go on elsewhere before this returns, and this object be gone.
        if (wait->begin()) return true;
        wait_.release()->coroutine_wait::give_up(true);
        return false;
    }
    decltype(auto) await_resume() {
        wait_.reset();
        return std::forward<Token>(token_).get();
    }

  private:
    executor& where_;
    // A copy of the handle, so that the coroutine holds the token.
    std::remove_cvref_t<Token> token_;
    token_node& node_;
    std::unique_ptr<token_wait> wait_;
};

}  // namespace detail

/// A coroutine that waits for tokens: it calls operations, co_awaits their tokens and other tasks,
/// and holds no thread while it waits.
///
/// As an **orchestrator** it runs inside sync_wait(), on the thread that calls that, whatever it
/// waits for: what it shares with other coroutines there needs no lock. As the **callable of an
/// operation** it is a token: it goes on in the domain where it has begun, and what it creates
/// belongs to its chain.
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
    struct promise_type : detail::task_promise, detail::task_result<T> {
        [[nodiscard]] task get_return_object() noexcept {
            return task(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        [[nodiscard]] T deliver() {
            if (this->error != nullptr) std::rethrow_exception(std::move(this->error));
            return this->take();
        }
    };

    task(task&& other) noexcept : body_(std::exchange(other.body_, nullptr)) {}
    task& operator=(task&& other) noexcept {
        if (this != &other) {
            if (body_) body_.destroy();
            body_ = std::exchange(other.body_, nullptr);
        }
        return *this;
    }
    ~task() {
        if (body_) body_.destroy();
    }

    /// For the library.
    [[nodiscard]] std::coroutine_handle<promise_type> body() const noexcept { return body_; }
    [[nodiscard]] std::coroutine_handle<promise_type> release() noexcept {
        return std::exchange(body_, nullptr);
    }

    /// For the library: what came of it, once it has ended.
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
    waiting_loop() noexcept : executor(nullptr) {}
    ~waiting_loop() override;
    waiting_loop(const waiting_loop&) = delete;
    waiting_loop& operator=(const waiting_loop&) = delete;

    /// Begins a task, and returns when it has ended. On a worker somebody stands in while there is
    /// nothing to do.
    void run(std::coroutine_handle<> body);

  private:
    void hold() noexcept override;
    void let_go() noexcept override;
    void wake() noexcept override;

    std::atomic<std::uint32_t> signal_{0};  ///< futex: something is ready
    std::atomic<std::size_t> held_{0};
};

}  // namespace detail

/// Runs a task on the calling thread, until it has ended, and gives its result. While the task
/// waits, the thread sleeps; on a worker, another thread of its domain stands in. From
/// apps/examples/coroutine.cpp:
/// @code
/// const int result = tg::sync_wait(refine(step, 4));
/// @endcode
/// @throws what the task throws
template <class T>
T sync_wait(task<T> whole) {
    detail::waiting_loop here;
    whole.body().promise().where = &here;
    here.run(whole.body());
    return whole.take();
}

}  // namespace tokengate
