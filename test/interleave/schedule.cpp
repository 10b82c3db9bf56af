// SPDX-License-Identifier: Apache-2.0
#include "schedule.hpp"

#include <ucontext.h>
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "access.hpp"
#include "sleep/fence.hpp"
#include "sleep/futex.hpp"

namespace tokengate::test {

namespace {

using detail::steady_ns;

constexpr std::size_t stack_size = std::size_t{128} * 1024;
// A run of a few threads takes some hundred steps; one that takes so many will not end.
constexpr std::uint64_t most_steps = 200'000;
// Somebody who makes so many steps in a row waits for the others in a loop.
constexpr std::uint64_t long_row = 2'000;

/// Small and quick, and the same everywhere: splitmix64.
class dice {
  public:
    explicit dice(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() noexcept {
        std::uint64_t mixed = (state_ += 0x9E3779B97F4A7C15U);
        mixed = (mixed ^ (mixed >> 30U)) * 0xBF58476D1CE4E5B9U;
        mixed = (mixed ^ (mixed >> 27U)) * 0x94D049BB133111EBU;
        return mixed ^ (mixed >> 31U);
    }
    std::uint64_t below(std::uint64_t limit) noexcept { return next() % limit; }
    bool one_in(std::uint64_t count) noexcept { return below(count) == 0; }

  private:
    std::uint64_t state_;
};

/// A store that has not arrived.
struct underway {
    void* to;
    std::array<unsigned char, sizeof(std::uint64_t)> bytes;
    std::size_t size;
    bool release;
};

/// Stacks are used again: most of a run's time would go into their pages.
std::vector<std::unique_ptr<std::byte[]>>& spare_stacks() {
    static std::vector<std::unique_ptr<std::byte[]>> spare;
    return spare;
}

std::unique_ptr<std::byte[]> take_stack() {
    auto& spare = spare_stacks();
    if (spare.empty()) return std::make_unique_for_overwrite<std::byte[]>(stack_size);
    auto taken = std::move(spare.back());
    spare.pop_back();
    return taken;
}

/// One thread of the scenario.
struct fiber {
    std::function<void()> body;
    std::unique_ptr<std::byte[]> stack;
    ucontext_t context{};
    enum class standing : std::uint8_t { ready, asleep, ended } now = standing::ready;
    const void* sleeps_on = nullptr;
    std::optional<steady_ns> deadline;
    std::vector<underway> stores;
    std::uint64_t priority = 0;
};

}  // namespace

class schedule::impl {
  public:
    explicit impl(std::uint64_t seed) : dice_(seed) {
        // Two ways to choose who goes on, each with several tempers, so that few seeds are alike.
        by_priority_ = dice_.one_in(2);
        stays_ = std::uint64_t{1} << dice_.below(5);
        arrives_ = std::uint64_t{1} << dice_.below(7);
        if (!by_priority_) return;
        // A few moments at which whoever is first becomes the last ("A randomized scheduler with
        // probabilistic guarantees of finding bugs", Burckhardt et al., ASPLOS 2010).
        const std::uint64_t within = std::uint64_t{16} << dice_.below(8);
        for (std::uint64_t& each : demotions_) each = 1 + dice_.below(within);
    }

    void thread(std::function<void()> body) {
        auto made = std::make_unique<fiber>();
        made->body = std::move(body);
        made->stack = take_stack();
        made->priority = most_priority + dice_.below(most_priority);
        fibers_.push_back(std::move(made));
    }

    std::optional<std::string> run() {
        for (const auto& each : fibers_) {
            getcontext(&each->context);
            each->context.uc_stack.ss_sp = each->stack.get();
            each->context.uc_stack.ss_size = stack_size;
            each->context.uc_link = nullptr;
            makecontext(&each->context, begin, 0);
        }
        active = this;
        running_ = choose();
        swapcontext(&outside_, &running_->context);
        active = nullptr;
        if (!mistake_) {
            for (auto& each : fibers_) spare_stacks().push_back(std::move(each->stack));
        }
        // Otherwise some have not ended, and what they hold stays where it is.
        return std::exchange(mistake_, std::nullopt);
    }

    // --- for a thread ------------------------------------------------------------------------

    void step(bool tired) noexcept {
        now_ += 10;
        if (++steps_ > most_steps) fail("threads run for ever");
        while (dice_.one_in(arrives_) && one_arrives()) {
            if (dice_.one_in(2)) break;
        }
        if (dice_.one_in(256)) oversleep();
        if (by_priority_) {
            const bool demoted =
                std::find(demotions_.begin(), demotions_.end(), steps_) != demotions_.end();
            if (demoted || tired || ++row_ > long_row) running_->priority = --lowest_;
        } else if (!tired && !dice_.one_in(stays_)) {
            return;
        }
        go_on(choose());
    }

    void sleep(const void* word, std::optional<steady_ns> until) noexcept {
        running_->now = fiber::standing::asleep;
        running_->sleeps_on = word;
        running_->deadline = until;
        go_on(choose());
    }

    void wake(const void* word, bool all) noexcept {
        std::vector<fiber*> sleepers;
        for (const auto& each : fibers_) {
            if (each->now == fiber::standing::asleep && each->sleeps_on == word) {
                sleepers.push_back(each.get());
            }
        }
        if (sleepers.empty()) return;
        if (all) {
            for (fiber* each : sleepers) get_up(*each);
        } else {
            get_up(*sleepers[dice_.below(sleepers.size())]);
        }
    }

    [[noreturn]] void fail(std::string what) noexcept {
        mistake_ = std::move(what);
        setcontext(&outside_);
        std::abort();  // setcontext() does not return
    }

    void store(void* to, const void* from, std::size_t size, std::memory_order order) {
        if (order == std::memory_order_seq_cst) {
            settle_all(*running_);
            std::memcpy(to, from, size);
            return;
        }
        underway sent{
            .to = to, .bytes = {}, .size = size, .release = order == std::memory_order_release};
        std::memcpy(sent.bytes.data(), from, size);
        running_->stores.push_back(sent);
    }

    void load(const void* from, void* to, std::size_t size) const noexcept {
        const auto& own = running_->stores;
        const auto found = std::find_if(own.rbegin(), own.rend(),
                                        [&](const underway& each) { return each.to == from; });
        std::memcpy(to, found == own.rend() ? from : found->bytes.data(), size);
    }

    void settle(const void* where, std::memory_order order) noexcept {
        const bool everything = order == std::memory_order_release ||
                                order == std::memory_order_acq_rel ||
                                order == std::memory_order_seq_cst;
        auto& own = running_->stores;
        if (own.empty()) return;
        if (everything) {
            settle_all(*running_);
            return;
        }
        // Up to the last one that goes there; with all before it, if it is a release.
        for (std::size_t i = 0; i < own.size();) {
            if (own[i].to == where && may_arrive(own, i)) {
                arrive(*running_, i);
            } else if (own[i].to == where) {
                arrive(*running_, 0);
                i = 0;
            } else {
                ++i;
            }
        }
    }

    void fence() noexcept { settle_all(*running_); }
    void fence_everywhere() noexcept {
        for (const auto& each : fibers_) settle_all(*each);
    }

    void forget(const void* where) noexcept {
        for (const auto& each : fibers_) {
            const auto gone = [&](const underway& sent) { return sent.to == where; };
            if (each.get() != running_ &&
                std::any_of(each->stores.begin(), each->stores.end(), gone)) {
                fail("a store is on its way to an object that is no more");
            }
            std::erase_if(each->stores, gone);
        }
    }

    [[nodiscard]] std::uint64_t below(std::uint64_t limit) noexcept { return dice_.below(limit); }
    [[nodiscard]] bool one_in(std::uint64_t count) noexcept { return dice_.one_in(count); }
    [[nodiscard]] steady_ns now() const noexcept { return now_; }
    [[nodiscard]] bool inside() const noexcept { return running_ != nullptr; }

    static impl* active;

  private:
    static constexpr std::uint64_t most_priority = 1'000'000'000;

    static void begin() noexcept {
        impl& self = *active;
        fiber& mine = *self.running_;
        try {
            mine.body();
        } catch (const std::exception& error) {
            self.fail(std::string("an exception left a thread: ") + error.what());
        } catch (...) {
            self.fail("an exception left a thread");
        }
        // What it has stored arrives when it does.
        mine.now = fiber::standing::ended;
        self.go_on(self.choose());
    }

    void go_on(fiber* next) noexcept {
        if (next == nullptr) {  // all have ended
            fence_everywhere();
            running_ = nullptr;
            setcontext(&outside_);
        }
        fiber* const before = std::exchange(running_, next);
        if (before == next) return;
        row_ = 0;
        swapcontext(&before->context, &next->context);
    }

    /// Null: all have ended.
    fiber* choose() noexcept {
        for (;;) {
            ready_.clear();
            bool all_ended = true;
            for (const auto& each : fibers_) {
                all_ended = all_ended && each->now == fiber::standing::ended;
                if (each->now == fiber::standing::ready) ready_.push_back(each.get());
            }
            if (all_ended) return nullptr;
            if (!ready_.empty()) break;
            // Time passes when nothing else happens.
            const auto first = std::min_element(fibers_.begin(), fibers_.end(),
                                                [](const auto& left, const auto& right) {
                                                    return wakes_at(*left) < wakes_at(*right);
                                                });
            if (wakes_at(**first) == std::numeric_limits<steady_ns>::max()) {
                fail("every thread that has not ended sleeps, and nobody is there to wake it");
            }
            wake_late(**first);
        }
        if (!by_priority_) return ready_[dice_.below(ready_.size())];
        return *std::max_element(
            ready_.begin(), ready_.end(),
            [](const fiber* left, const fiber* right) { return left->priority < right->priority; });
    }

    static steady_ns wakes_at(const fiber& which) noexcept {
        return which.now == fiber::standing::asleep && which.deadline
                   ? *which.deadline
                   : std::numeric_limits<steady_ns>::max();
    }
    void wake_late(fiber& which) noexcept {
        now_ = std::max(now_, *which.deadline);
        get_up(which);
    }
    static void get_up(fiber& which) noexcept {
        which.now = fiber::standing::ready;
        which.deadline.reset();
    }
    /// Somebody sleeps past its deadline while others run.
    void oversleep() noexcept {
        fiber& any = *fibers_[dice_.below(fibers_.size())];
        if (any.now == fiber::standing::asleep && any.deadline) wake_late(any);
    }

    /// The oldest that goes where it goes; a release only as the oldest of all.
    static bool may_arrive(const std::vector<underway>& stores, std::size_t which) noexcept {
        if (stores[which].release) return which == 0;
        return std::none_of(stores.begin(), stores.begin() + static_cast<std::ptrdiff_t>(which),
                            [&](const underway& each) { return each.to == stores[which].to; });
    }
    static void arrive(fiber& whose, std::size_t which) noexcept {
        const underway& sent = whose.stores[which];
        std::memcpy(sent.to, sent.bytes.data(), sent.size);
        whose.stores.erase(whose.stores.begin() + static_cast<std::ptrdiff_t>(which));
    }
    bool one_arrives() noexcept {
        fiber& any = *fibers_[dice_.below(fibers_.size())];
        if (any.stores.empty()) return false;
        const std::size_t which = dice_.below(any.stores.size());
        if (may_arrive(any.stores, which)) arrive(any, which);
        return true;
    }
    static void settle_all(fiber& whose) noexcept {
        for (const underway& each : whose.stores) {
            std::memcpy(each.to, each.bytes.data(), each.size);
        }
        whose.stores.clear();
    }

    dice dice_;
    bool by_priority_ = false;
    std::uint64_t stays_ = 1;    ///< one step in so many, somebody else may go on
    std::uint64_t arrives_ = 1;  ///< one step in so many, a store arrives
    std::array<std::uint64_t, 3> demotions_{};
    std::uint64_t lowest_ = most_priority;
    std::vector<std::unique_ptr<fiber>> fibers_;
    std::vector<fiber*> ready_;
    fiber* running_ = nullptr;
    ucontext_t outside_{};
    std::uint64_t steps_ = 0;
    std::uint64_t row_ = 0;
    steady_ns now_ = 0;
    std::optional<std::string> mistake_;
};

schedule::impl* schedule::impl::active = nullptr;

schedule::schedule(std::uint64_t seed) : impl_(std::make_unique<impl>(seed)) {}
schedule::~schedule() = default;

void schedule::thread(std::function<void()> body) { impl_->thread(std::move(body)); }

std::optional<std::string> schedule::run() { return impl_->run(); }

namespace {

// What a check after the end of all threads has found.
std::optional<std::string> found;

std::uint64_t number_in(const char* variable, std::uint64_t otherwise) {
    const char* value = std::getenv(variable);
    return value == nullptr || *value == '\0' ? otherwise : std::strtoull(value, nullptr, 10);
}

std::optional<std::string> run_once(const std::function<std::function<void()>(schedule&)>& lay_out,
                                    std::uint64_t seed) {
    schedule once(seed);
    const std::function<void()> check = lay_out(once);
    if (auto mistake = once.run()) {
        // Threads that were left behind refer to it.
        static_cast<void>(new std::function<void()>(check));
        return mistake;
    }
    check();
    return std::exchange(found, std::nullopt);
}

}  // namespace

void must(bool hold, const char* what) {
    if (hold) return;
    if (schedule::impl::active != nullptr) schedule::impl::active->fail(what);
    if (!found) found = what;
}

void pause() {
    if (schedule::impl::active != nullptr) schedule::impl::active->step(true);
}

std::uint64_t choice(std::uint64_t limit) { return schedule::impl::active->below(limit); }

void explore(const std::function<std::function<void()>(schedule&)>& lay_out) {
    const std::uint64_t only = number_in("TOKENGATE_SEED", 0);
    const std::uint64_t first = only != 0 ? only : 1;
    const std::uint64_t count = only != 0 ? 1 : number_in("TOKENGATE_SCHEDULES", 100'000);
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        const auto mistake = run_once(lay_out, seed);
        if (!mistake) continue;
        FAIL("TOKENGATE_SEED=", seed, ": ", *mistake);
    }
    CHECK(count > 0);
}

}  // namespace tokengate::test

// --- what the library calls ----------------------------------------------------------------------

namespace tokengate::detail {

namespace interleave {

using runs = test::schedule::impl;

void step() noexcept {
    if (runs::active != nullptr) runs::active->step(false);
}

void load(const void* from, void* to, std::size_t size) noexcept {
    if (runs::active == nullptr) {
        std::memcpy(to, from, size);
    } else {
        runs::active->load(from, to, size);
    }
}

void store(void* to, const void* from, std::size_t size, std::memory_order order) noexcept {
    if (runs::active == nullptr) {
        std::memcpy(to, from, size);
    } else {
        runs::active->store(to, from, size, order);
    }
}

void settle(const void* where, std::memory_order order) noexcept {
    if (runs::active != nullptr) runs::active->settle(where, order);
}

void fence() noexcept {
    if (runs::active != nullptr) runs::active->fence();
}

void fence_everywhere() noexcept {
    if (runs::active != nullptr) runs::active->fence_everywhere();
}

bool fails_for_no_reason() noexcept { return runs::active != nullptr && runs::active->one_in(16); }

void forget(const void* where) noexcept {
    if (runs::active != nullptr) runs::active->forget(where);
}

}  // namespace interleave

void futex_wait(atomic<std::uint32_t>& word, std::uint32_t expected,
                std::optional<steady_ns> deadline) noexcept {
    interleave::step();
    interleave::fence();
    // The kernel's comparison and the sleep are one step.
    std::uint32_t seen = 0;
    interleave::load(&word, &seen, sizeof(seen));
    if (seen == expected) interleave::runs::active->sleep(&word, deadline);
}

void futex_wake_one(atomic<std::uint32_t>& word) noexcept {
    interleave::step();
    interleave::fence();
    interleave::runs::active->wake(&word, false);
}

void futex_wake_all(atomic<std::uint32_t>& word) noexcept {
    interleave::step();
    interleave::fence();
    interleave::runs::active->wake(&word, true);
}

steady_ns steady_now() noexcept {
    return interleave::runs::active == nullptr ? 0 : interleave::runs::active->now();
}

void prepare_heavy_fences() noexcept { heavy_fences_work.store(true); }

void heavy_fence() noexcept {
    interleave::step();
    interleave::fence_everywhere();
}

}  // namespace tokengate::detail
