// SPDX-License-Identifier: Apache-2.0
// Coroutines that wait for tokens. Protocol: README.md.
#include <tokengate/detail/executor.hpp>

#include <utility>

namespace tokengate::detail {

void coroutine_wait::end() noexcept {
    executor& where = where_;
    // Acquire and release: pairs with give_up(), whoever of the two comes second frees it.
    if (phase_.exchange(phase::over, std::memory_order_acq_rel) == phase::given_up) {
        delete this;
    } else {
        coroutine_wait* newest = where.ready_.load(std::memory_order_relaxed);
        do {
            next_ = newest;
            // Release: pairs with the acquire in run_ready(): what the coroutine waited for is
            // seen by who goes on with it.
        } while (!where.ready_.compare_exchange_weak(newest, this, std::memory_order_release,
                                                     std::memory_order_relaxed));
        where.wake();
    }
    where.let_go();
}

void coroutine_wait::give_up(bool unseen) noexcept {
    executor& where = where_;
    if (unseen) {
        delete this;
        where.let_go();
        return;
    }
    // As above. If it is over, it is, or will be, in the list, and is freed there.
    static_cast<void>(phase_.exchange(phase::given_up, std::memory_order_acq_rel));
}

void coroutine_wait::go_on_here() noexcept {
    executor& where = where_;
    where.away_ = true;
    who_.resume();
    where.let_go();
}

void executor::run_ready() noexcept {
    // Acquire: pairs with the release in end().
    while (coroutine_wait* newest = ready_.exchange(nullptr, std::memory_order_acquire)) {
        coroutine_wait* oldest = nullptr;
        while (newest != nullptr) {
            coroutine_wait* const before = std::exchange(newest->next_, oldest);
            oldest = std::exchange(newest, before);
        }
        while (oldest != nullptr) {
            coroutine_wait& each = *std::exchange(oldest, oldest->next_);
            // It may be freed by who goes on. Relaxed: only who runs here gives up what is over.
            if (each.phase_.load(std::memory_order_relaxed) == coroutine_wait::phase::given_up) {
                delete &each;
            } else {
                away_ = false;
                each.who_.resume();
            }
        }
    }
}

void executor::drop_ready() noexcept {
    // Acquire: as above.
    coroutine_wait* each = ready_.exchange(nullptr, std::memory_order_acquire);
    while (each != nullptr) delete std::exchange(each, each->next_);
}

}  // namespace tokengate::detail
