// SPDX-License-Identifier: Apache-2.0
/// @file
/// Where coroutines go on that wait for tokens. Protocol: lib/coroutine/README.md.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>

#include <tokengate/detail/continuation.hpp>

namespace tokengate::detail {

class coroutine_wait;

/// @throws deadlock
[[noreturn]] void throw_deadlock(const token_node& awaited);

/// Runs coroutines, one at a time, when what they wait for has come.
class executor {
  public:
    virtual ~executor() = default;
    executor(const executor&) = delete;
    executor& operator=(const executor&) = delete;

    /// The token whose callable its coroutines are; null if they are none.
    [[nodiscard]] token_node* token() const noexcept { return token_; }

    /// True while its coroutines run in a visit: then they wait even for what has ended, which
    /// brings them back. For them.
    [[nodiscard]] bool away() const noexcept { return away_; }

    /// True if its thread is a worker that waits for its coroutines: then those ask it before they
    /// wait, unless they are away.
    [[nodiscard]] virtual bool helps() const noexcept { return false; }
    /// Runs this token on the calling thread, if that may do so, and it has not begun.
    /// @throws deadlock if it cannot end before the calling thread goes on
    virtual void bring_about(token_node&) {}
    /// True if nobody else can be had who brings about what it waits for.
    [[nodiscard]] virtual bool is_alone() const noexcept { return false; }
    /// True if this token, which has not ended, cannot do so before the calling thread goes on.
    [[nodiscard]] virtual bool holds_up(const token_node&) const noexcept { return false; }

    /// The outermost of its coroutines has ended. On whatever thread that runs.
    virtual void ended() noexcept {}

  protected:
    explicit executor(token_node* token) noexcept : token_(token) {}

    /// Goes on with coroutines whose waits are over, until there are none.
    void run_ready() noexcept;

    /// Frees waits that are over, and have been given up.
    void drop_ready() noexcept;

    [[nodiscard]] bool has_ready() const noexcept {
        // Acquire: pairs with the release in coroutine_wait::end().
        return ready_.load(std::memory_order_acquire) != nullptr;
    }

  private:
    friend class coroutine_wait;

    /// It stays for a wait that has begun.
    virtual void hold() noexcept = 0;
    /// That has ended.
    virtual void let_go() noexcept = 0;
    /// Something is ready. Any thread, which holds it.
    virtual void wake() noexcept = 0;

    token_node* const token_;
    std::atomic<coroutine_wait*> ready_{nullptr};  ///< the newest first
    bool away_ = false;                            ///< whoever runs its coroutines writes it
};

/// One wait of one coroutine, which owns it. It ends once: it is over, and the coroutine goes on;
/// or the coroutine is destroyed, and has given it up.
class coroutine_wait {
  public:
    coroutine_wait(const coroutine_wait&) = delete;
    coroutine_wait& operator=(const coroutine_wait&) = delete;
    virtual ~coroutine_wait() = default;

    /// What it waited for has come. Any thread, once.
    void end() noexcept;

    /// For the coroutine, when it is destroyed before it has gone on.
    /// @param unseen  nobody will call end()
    void give_up(bool unseen) noexcept;

    // NOLINTNEXTLINE(misc-new-delete-overloads): the one below is told the size.
    static void* operator new(std::size_t bytes) { return allocate_piece(bytes); }
    static void operator delete(void* piece, std::size_t bytes) noexcept {
        free_piece(piece, bytes);
    }

    /// Instead of end(): goes on with the coroutine on the calling thread.
    void go_on_here() noexcept;
    /// Instead of end(): it has not begun, after all.
    void withdraw() noexcept { where_.let_go(); }

    /// The token whose callable waits; null if it is none. Until the wait has ended.
    [[nodiscard]] token_node* executor_token() const noexcept { return where_.token(); }

  protected:
    coroutine_wait(executor& where, std::coroutine_handle<> who) noexcept
        : where_(where), who_(who) {
        where_.hold();
    }

  private:
    friend class executor;
    enum class phase : std::uint8_t { waits, over, given_up };

    executor& where_;
    const std::coroutine_handle<> who_;
    std::atomic<phase> phase_{phase::waits};
    coroutine_wait* next_ = nullptr;  ///< in the executor's list
};

/// A wait for the end of a token. The coroutine holds that.
class token_wait final : public coroutine_wait, public continuation {
  public:
    token_wait(executor& where, std::coroutine_handle<> who, token_node& node) noexcept
        : coroutine_wait(where, who) {
        tell = [](continuation& self) noexcept { owner_of<token_wait>(self).end(); };
        awaited = &node;
        if (where.token() != nullptr) {
            show = [](continuation& self, waiter_visitor& to) {
                to.see(*owner_of<token_wait>(self).executor_token());
            };
        }
    }

    /// False: the token has ended already; then the wait is to be given up, unseen.
    [[nodiscard]] bool begin() noexcept { return attach(*this); }

    /// As coroutine_wait::give_up().
    void give_up() noexcept { coroutine_wait::give_up(detach(*this)); }
};

}  // namespace tokengate::detail
