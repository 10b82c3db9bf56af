// SPDX-License-Identifier: Apache-2.0
// Many tokens that one coroutine waits for. Protocol: README.md, "Many tokens".
#include <tokengate/gather.hpp>

#include <mutex>
#include <stdexcept>
#include <utility>

namespace tokengate::detail {

/// What the coroutine and the continuations of its tokens share: it goes when all of them have let
/// go of it.
class completion_queue::shared {
  public:
    explicit shared(std::vector<token_handle>&& tokens)
        : tokens_(std::move(tokens)), entries_(tokens_.size()), holders_(tokens_.size() + 1) {
        for (std::size_t i = 0; i < tokens_.size(); ++i) {
            entries_[i].awaited = &handle_access::node_of(tokens_[i]);
            entries_[i].tell = tell;
            entries_[i].show = show;
            entries_[i].of = this;
        }
    }
    shared(const shared&) = delete;
    shared& operator=(const shared&) = delete;

    void watch() noexcept {
        for (entry& each : entries_) {
            if (!attach(each)) tell(each);
        }
    }

    /// Its coroutine is through with it.
    void abandon() noexcept {
        for (entry& each : entries_) {
            if (detach(each)) let_go();
        }
        // Not later: who is still telling may be slower than the coroutine, which may want to move
        // results out.
        tokens_.clear();
        let_go();
    }

    [[nodiscard]] std::size_t left() const noexcept { return left_; }

    /// For a coroutine whose thread helps, before it waits.
    /// @throws deadlock if none has ended, and none can before that thread goes on
    void ask(executor& where) {
        while (!tokens_[looked_at_].valid()) ++looked_at_;
        // Most often the first one says enough.
        std::size_t open = looked_at_;
        for (; open < tokens_.size(); ++open) {
            if (!tokens_[open].valid()) continue;
            if (tokens_[open].done()) return;
            if (!where.holds_up(node_of(open))) break;
        }
        if (open == tokens_.size()) throw_deadlock(node_of(looked_at_));
        if (!where.is_alone()) return;
        for (; open < tokens_.size() && !has_next(); ++open) {
            if (!tokens_[open].valid() || tokens_[open].done()) continue;
            if (!where.holds_up(node_of(open))) where.bring_about(node_of(open));
        }
    }

    [[nodiscard]] bool has_next() noexcept {
        // Acquire: pairs with the release in tell().
        if (oldest_ == nullptr) take_ended(ended_.exchange(nullptr, std::memory_order_acquire));
        return oldest_ != nullptr;
    }

    [[nodiscard]] std::size_t take_next() noexcept {
        entry& taken = *std::exchange(oldest_, oldest_->later);
        --left_;
        const auto which = static_cast<std::size_t>(&taken - entries_.data());
        tokens_[which] = {};
        return which;
    }

    /// False: something has ended meanwhile, and nobody will end this wait.
    [[nodiscard]] bool begin_wait(coroutine_wait& wait) noexcept {
        set_waiter(wait.executor_token());
        // Seq_cst, as the push and the exchange in tell(): either that one sees the wait, or it is
        // seen here what was pushed.
        waiting_.store(&wait, std::memory_order_seq_cst);
        if (ended_.load(std::memory_order_seq_cst) == nullptr) return true;
        return !withdraw();
    }

    /// Takes the wait back. True: nobody will end it.
    [[nodiscard]] bool withdraw() noexcept {
        if (waiting_.exchange(nullptr, std::memory_order_seq_cst) == nullptr) return false;
        set_waiter(nullptr);
        return true;
    }

  private:
    [[nodiscard]] token_node& node_of(std::size_t which) const noexcept {
        return *entries_[which].awaited;
    }

    struct entry : continuation {
        shared* of = nullptr;
        entry* later = nullptr;
    };

    static void tell(continuation& which) noexcept {
        auto& ended = owner_of<entry>(which);
        shared& self = *ended.of;
        entry* newest = self.ended_.load(std::memory_order_relaxed);
        do {
            ended.later = newest;
        } while (!self.ended_.compare_exchange_weak(newest, &ended, std::memory_order_seq_cst,
                                                    std::memory_order_relaxed));
        if (coroutine_wait* wait = self.waiting_.exchange(nullptr, std::memory_order_seq_cst)) {
            self.set_waiter(nullptr);
            wait->end();
        }
        self.let_go();
    }

    static void show(continuation& which, waiter_visitor& to) {
        shared& self = *owner_of<entry>(which).of;
        const std::scoped_lock guard(self.waiter_lock_);
        if (self.waiter_ != nullptr) to.see(*self.waiter_);
    }

    void set_waiter(token_node* token) noexcept {
        const std::scoped_lock guard(waiter_lock_);
        waiter_ = token;
    }

    // Newest first.
    void take_ended(entry* newest) noexcept {
        while (newest != nullptr) {
            entry* const before = std::exchange(newest->later, oldest_);
            oldest_ = std::exchange(newest, before);
        }
    }

    void let_go() noexcept {
        // Acquire and release: the last one destroys what others have used.
        if (holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

    std::vector<token_handle> tokens_;  ///< held while they are watched; the coroutine's
    std::vector<entry> entries_;
    std::atomic<entry*> ended_{nullptr};
    std::atomic<coroutine_wait*> waiting_{nullptr};
    entry* oldest_ = nullptr;  ///< of those taken, for the coroutine
    std::size_t left_ = entries_.size();
    std::size_t looked_at_ = 0;  ///< those before were delivered
    std::atomic<std::size_t> holders_;
    std::mutex waiter_lock_;
    token_node* waiter_ = nullptr;  ///< the token that waits by `waiting_`, as long as it does
};

namespace {

/// The wait of a coroutine that somebody else ends.
class plain_wait final : public coroutine_wait {
  public:
    plain_wait(executor& where, std::coroutine_handle<> who) noexcept
        : coroutine_wait(where, who) {}
};

}  // namespace

completion_queue::completion_queue(std::vector<token_handle> tokens)
    : shared_(new shared(std::move(tokens))) {
    shared_->watch();
}

completion_queue& completion_queue::operator=(completion_queue&& other) noexcept = default;

completion_queue::~completion_queue() = default;

void completion_queue::drop::operator()(shared* which) const noexcept { which->abandon(); }

std::size_t completion_queue::left() const noexcept { return shared_->left(); }

/// Waits until something has ended, perhaps; who ends a wait may have ended something that has been
/// delivered before.
class completion_queue::awaiter {
  public:
    awaiter(shared& queue, executor& where) noexcept : queue_(queue), where_(where) {}
    awaiter(const awaiter&) = delete;
    awaiter& operator=(const awaiter&) = delete;
    // Only if the coroutine is destroyed while it waits.
    ~awaiter() {
        if (wait_ != nullptr) wait_->give_up(queue_.withdraw());
    }

    [[nodiscard]] bool await_ready() const {
        if (where_.away()) return false;
        if (queue_.has_next()) return true;
        if (where_.helps()) queue_.ask(where_);
        return queue_.has_next();
    }
    [[nodiscard]] bool await_suspend(std::coroutine_handle<> self) {
        auto* const wait = new plain_wait(where_, self);
        wait_ = wait;
        if (where_.away()) {
            // Home first: to begin to wait takes steps after which it may have gone on already.
            wait->end();
            return true;
        }
        // It may go on before this returns, in the token that it is, and this object be gone.
        if (!queue_.has_next() && queue_.begin_wait(*wait)) return true;
        std::exchange(wait_, nullptr)->give_up(true);
        return false;
    }
    void await_resume() noexcept { delete std::exchange(wait_, nullptr); }

  private:
    shared& queue_;
    executor& where_;
    plain_wait* wait_ = nullptr;
};

struct completion_queue::more {
    shared& queue;
    [[nodiscard]] awaiter in(executor& where) const noexcept { return {queue, where}; }
};

task<std::size_t> completion_queue::next() {
    shared& all = *shared_;
    if (all.left() == 0) {
        throw std::invalid_argument(
            "a coroutine waits for the first of no tokens: that never comes. Pass at least one");
    }
    do {
        co_await more{all};
    } while (!all.has_next());
    co_return all.take_next();
}

task<> all_of(completion_queue tokens) {
    while (tokens.left() != 0) static_cast<void>(co_await tokens.next());
}

task<std::size_t> first_of(completion_queue tokens) { co_return co_await tokens.next(); }

task<std::optional<std::size_t>> all_or_first_failure(std::vector<token_handle> tokens) {
    const std::vector<token_handle> watched = tokens;
    completion_queue queue(std::move(tokens));
    while (queue.left() != 0) {
        const std::size_t next = co_await queue.next();
        if (watched[next].state() != token_state::completed) co_return next;
    }
    co_return std::nullopt;
}

}  // namespace tokengate::detail
