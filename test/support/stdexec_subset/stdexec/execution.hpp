// SPDX-License-Identifier: Apache-2.0
/// @file
/// The part of stdexec that tokengate/senders.hpp and its tests use, written down anew from the
/// wording of P2300 ([exec], [stoptoken.inplace]): for machines without stdexec, so that they
/// compile the header and run its tests, too. No algorithm, but for just().
#pragma once

#include <atomic>
#include <concepts>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>

namespace stdexec {

struct receiver_tag {};
struct sender_tag {};

// How an operation completes.

struct set_value_t {
    template <class Receiver, class... Values>
        requires requires(Receiver&& to, Values&&... values) {
            { std::move(to).set_value(std::forward<Values>(values)...) }
            noexcept->std::same_as<void>;
        }
    void operator()(Receiver&& to, Values&&... values) const noexcept {
        static_assert(!std::is_lvalue_reference_v<Receiver>);
        std::move(to).set_value(std::forward<Values>(values)...);
    }
};
struct set_error_t {
    template <class Receiver, class Error>
        requires requires(Receiver&& to, Error&& error) {
            { std::move(to).set_error(std::forward<Error>(error)) }
            noexcept->std::same_as<void>;
        }
    void operator()(Receiver&& to, Error&& error) const noexcept {
        static_assert(!std::is_lvalue_reference_v<Receiver>);
        std::move(to).set_error(std::forward<Error>(error));
    }
};
struct set_stopped_t {
    template <class Receiver>
        requires requires(Receiver&& to) {
            { std::move(to).set_stopped() }
            noexcept->std::same_as<void>;
        }
    void operator()(Receiver&& to) const noexcept {
        static_assert(!std::is_lvalue_reference_v<Receiver>);
        std::move(to).set_stopped();
    }
};
inline constexpr set_value_t set_value{};
inline constexpr set_error_t set_error{};
inline constexpr set_stopped_t set_stopped{};

/// A list of calls of the three.
template <class... Signatures>
struct completion_signatures {};

// Stop tokens.

class never_stop_token {
    struct callback {
        template <class Function>
        explicit callback(never_stop_token, Function&&) noexcept {}
    };

  public:
    template <class>
    using callback_type = callback;

    [[nodiscard]] static constexpr bool stop_requested() noexcept { return false; }
    [[nodiscard]] static constexpr bool stop_possible() noexcept { return false; }
    bool operator==(const never_stop_token&) const noexcept = default;
};

template <class Token, class Function>
using stop_callback_for_t = typename Token::template callback_type<Function>;

class inplace_stop_source;

class inplace_stop_callback_base {
  public:
    inplace_stop_callback_base(const inplace_stop_callback_base&) = delete;
    inplace_stop_callback_base& operator=(const inplace_stop_callback_base&) = delete;

  protected:
    using call = void (*)(inplace_stop_callback_base&) noexcept;
    inplace_stop_callback_base(inplace_stop_source* source, call run) noexcept
        : source_(source), run_(run) {}
    ~inplace_stop_callback_base() = default;
    inline void add();
    inline void remove() noexcept;

  private:
    friend class inplace_stop_source;
    inplace_stop_source* source_;
    const call run_;
    bool listed_ = false;  ///< the rest under the source's lock
    inplace_stop_callback_base* next_ = nullptr;
    inplace_stop_callback_base* previous_ = nullptr;
};

template <class Function>
class inplace_stop_callback;

class inplace_stop_token {
  public:
    template <class Function>
    using callback_type = inplace_stop_callback<Function>;

    inplace_stop_token() noexcept = default;
    [[nodiscard]] inline bool stop_requested() const noexcept;
    [[nodiscard]] bool stop_possible() const noexcept { return source_ != nullptr; }
    bool operator==(const inplace_stop_token&) const noexcept = default;

  private:
    friend class inplace_stop_source;
    template <class Function>
    friend class inplace_stop_callback;
    explicit inplace_stop_token(inplace_stop_source* source) noexcept : source_(source) {}
    inplace_stop_source* source_ = nullptr;
};

class inplace_stop_source {
  public:
    inplace_stop_source() = default;
    inplace_stop_source(inplace_stop_source&&) = delete;

    [[nodiscard]] inplace_stop_token get_token() noexcept { return inplace_stop_token(this); }
    [[nodiscard]] bool stop_requested() const noexcept { return requested_.load(); }

    /// Calls what is registered, on this thread. What it returns differs among versions of stdexec.
    bool request_stop() noexcept {
        std::unique_lock guard(lock_);
        if (requested_.exchange(true)) return false;
        caller_ = std::this_thread::get_id();
        while (inplace_stop_callback_base* const each = first_) {
            unlink(*each);
            running_ = each;
            guard.unlock();
            each->run_(*each);
            guard.lock();
            running_ = nullptr;
            returned_.notify_all();
        }
        return true;
    }

  private:
    friend class inplace_stop_callback_base;

    void unlink(inplace_stop_callback_base& which) noexcept {
        (which.previous_ == nullptr ? first_ : which.previous_->next_) = which.next_;
        if (which.next_ != nullptr) which.next_->previous_ = which.previous_;
        which.listed_ = false;
    }

    std::mutex lock_;
    std::condition_variable returned_;
    std::atomic<bool> requested_{false};
    std::thread::id caller_;                         ///< this and the rest under lock_
    inplace_stop_callback_base* first_ = nullptr;    ///< a list
    inplace_stop_callback_base* running_ = nullptr;  ///< what the caller is in; it may be gone
};

inline bool inplace_stop_token::stop_requested() const noexcept {
    return source_ != nullptr && source_->stop_requested();
}

void inplace_stop_callback_base::add() {
    if (source_ == nullptr) return;
    {
        const std::scoped_lock guard(source_->lock_);
        if (!source_->stop_requested()) {
            next_ = source_->first_;
            if (next_ != nullptr) next_->previous_ = this;
            source_->first_ = this;
            listed_ = true;
            return;
        }
    }
    source_ = nullptr;
    run_(*this);
}

void inplace_stop_callback_base::remove() noexcept {
    if (source_ == nullptr) return;
    std::unique_lock guard(source_->lock_);
    if (listed_) {
        source_->unlink(*this);
    } else if (source_->caller_ != std::this_thread::get_id()) {
        source_->returned_.wait(guard, [this] { return source_->running_ != this; });
    }
}

template <class Function>
class inplace_stop_callback : inplace_stop_callback_base {
  public:
    template <class Source>
    explicit inplace_stop_callback(inplace_stop_token token, Source&& function)
        : inplace_stop_callback_base(token.source_,
                                     [](inplace_stop_callback_base& self) noexcept {
                                         static_cast<inplace_stop_callback&>(self).function_();
                                     }),
          function_(std::forward<Source>(function)) {
        add();
    }
    ~inplace_stop_callback() { remove(); }

  private:
    Function function_;
};

// What is asked of receivers, senders and schedulers.

/// The one that answers nothing.
template <class...>
struct env {};

struct get_env_t {
    template <class Provider>
    [[nodiscard]] auto operator()(const Provider& provider) const noexcept {
        if constexpr (requires { provider.get_env(); }) {
            static_assert(noexcept(provider.get_env()));
            return provider.get_env();
        } else {
            return env<>{};
        }
    }
};
inline constexpr get_env_t get_env{};
template <class Provider>
using env_of_t = std::invoke_result_t<get_env_t, Provider>;

struct get_stop_token_t {
    template <class Env>
    [[nodiscard]] auto operator()(const Env& from) const noexcept {
        if constexpr (requires { from.query(*this); }) {
            return from.query(*this);
        } else {
            return never_stop_token{};
        }
    }
};
inline constexpr get_stop_token_t get_stop_token{};

template <class Tag>
struct get_completion_scheduler_t {
    template <class Env>
        requires requires(const Env& from, get_completion_scheduler_t self) {
            { from.query(self) }
            noexcept;
        }
    [[nodiscard]] auto operator()(const Env& from) const noexcept { return from.query(*this); }
};
template <class Tag>
inline constexpr get_completion_scheduler_t<Tag> get_completion_scheduler{};

enum class forward_progress_guarantee { concurrent, parallel, weakly_parallel };

struct get_forward_progress_guarantee_t {
    template <class Scheduler>
    [[nodiscard]] forward_progress_guarantee operator()(const Scheduler& of) const noexcept {
        if constexpr (requires { of.query(*this); }) {
            static_assert(noexcept(of.query(*this)));
            return of.query(*this);
        } else {
            return forward_progress_guarantee::weakly_parallel;
        }
    }
};
inline constexpr get_forward_progress_guarantee_t get_forward_progress_guarantee{};

// Receivers, operation states, senders, schedulers.

template <class Receiver>
concept receiver =
    std::derived_from<typename std::remove_cvref_t<Receiver>::receiver_concept, receiver_tag> &&
    std::is_nothrow_move_constructible_v<std::remove_cvref_t<Receiver>> &&
    std::constructible_from<std::remove_cvref_t<Receiver>, Receiver>;

template <class Receiver, class Signature>
inline constexpr bool takes = false;
template <class Receiver, class Tag, class... Values>
inline constexpr bool takes<Receiver, Tag(Values...)> =
    std::is_invocable_v<Tag, std::remove_cvref_t<Receiver>, Values...>;
template <class Receiver, class Signatures>
inline constexpr bool takes_all = false;
template <class Receiver, class... Signatures>
inline constexpr bool takes_all<Receiver, completion_signatures<Signatures...>> =
    (takes<Receiver, Signatures> && ...);
template <class Receiver, class Signatures>
concept receiver_of = receiver<Receiver> && takes_all<Receiver, Signatures>;

struct start_t {
    template <class Operation>
        requires requires(Operation& which) {
            { which.start() }
            noexcept->std::same_as<void>;
        }
    void operator()(Operation& which) const noexcept { which.start(); }
};
inline constexpr start_t start{};

template <class Operation>
concept operation_state = std::destructible<Operation> && std::is_object_v<Operation> &&
    std::invocable<start_t, Operation&>;

template <class Sender>
concept sender =
    std::derived_from<typename std::remove_cvref_t<Sender>::sender_concept, sender_tag> &&
    std::move_constructible<std::remove_cvref_t<Sender>> &&
    std::constructible_from<std::remove_cvref_t<Sender>, Sender>;

template <class Sender, class... Env>
using completion_signatures_of_t =
    decltype(std::remove_cvref_t<Sender>::template get_completion_signatures<Sender, Env...>());
template <class Sender, class... Env>
concept sender_in = sender<Sender> && requires {
    typename completion_signatures_of_t<Sender, Env...>;
};

struct connect_t {
    template <sender Sender, receiver Receiver>
        requires receiver_of<Receiver, completion_signatures_of_t<Sender, env_of_t<Receiver>>>
    [[nodiscard]] operation_state auto operator()(Sender&& from, Receiver&& to) const {
        return std::forward<Sender>(from).connect(std::forward<Receiver>(to));
    }
};
inline constexpr connect_t connect{};
template <class Sender, class Receiver>
using connect_result_t = std::invoke_result_t<connect_t, Sender, Receiver>;
template <class Sender, class Receiver>
concept sender_to =
    sender_in<Sender, env_of_t<Receiver>> && std::invocable<connect_t, Sender, Receiver>;

struct schedule_t {
    template <class Scheduler>
    [[nodiscard]] sender auto operator()(Scheduler&& where) const noexcept {
        return std::forward<Scheduler>(where).schedule();
    }
};
inline constexpr schedule_t schedule{};
template <class Scheduler>
using schedule_result_t = std::invoke_result_t<schedule_t, Scheduler>;

template <class Scheduler>
concept scheduler = std::equality_comparable<std::remove_cvref_t<Scheduler>> &&
    std::copy_constructible<std::remove_cvref_t<Scheduler>> &&
    std::is_nothrow_move_constructible_v<std::remove_cvref_t<Scheduler>> &&
    requires(const std::remove_cvref_t<Scheduler>& where) {
    {
        get_completion_scheduler<set_value_t>(get_env(schedule(where)))
        } -> std::same_as<std::remove_cvref_t<Scheduler>>;
};

/// Completes at once.
struct just_t {
    struct sender {
        using sender_concept = sender_tag;
        template <class Self, class... Env>
        [[nodiscard]] static consteval auto get_completion_signatures() noexcept {
            return completion_signatures<set_value_t()>{};
        }

        template <class Receiver>
        struct operation {
            Receiver to;
            void start() & noexcept { set_value(std::move(to)); }
        };
        template <class Receiver>
        [[nodiscard]] auto connect(Receiver to) const {
            return operation<Receiver>{std::move(to)};
        }
    };
    [[nodiscard]] sender operator()() const noexcept { return {}; }
};
inline constexpr just_t just{};

}  // namespace stdexec
