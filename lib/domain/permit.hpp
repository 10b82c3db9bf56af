// SPDX-License-Identifier: Apache-2.0
/// @file
/// The permit of a token that executes, and what becomes of it while that waits.
#pragma once

#include <array>
#include <cstddef>

#include "domain/tier.hpp"
#include "domain/worker.hpp"

namespace tokengate::detail {

/// A permit that the token has which the worker executes; on the worker's stack, whose own thread
/// alone touches it. Of the tokens of a tier on one stack only the innermost can go on, so that it
/// alone has a permit: those beneath would keep it from getting one again, if there are few.
class permit_use {
  public:
    permit_use(tier& from, worker& user) noexcept
        : tier_(from), worker_(user), outer_(user.permits) {
        user.permits = this;
        permit_use* const beneath = next_of_tier();
        if (beneath != nullptr && beneath->state_ == state::held) {
            beneath->state_ = state::covered;
            tier_.lend();
        }
    }
    ~permit_use() {
        worker_.permits = outer_;
        permit_use* const beneath = next_of_tier();
        if (beneath != nullptr && beneath->state_ == state::covered) {
            beneath->state_ = state::held;
            tier_.hand_over();
        } else {
            tier_.release();
        }
    }
    permit_use(const permit_use&) = delete;
    permit_use& operator=(const permit_use&) = delete;

  private:
    friend class permit_loan;
    enum class state : unsigned char {
        held,
        lent,     ///< its token, or one on top of it, waits
        covered,  ///< another one of its tier runs on top of it, and leaves it its permit
    };

    [[nodiscard]] permit_use* next_of_tier() const noexcept {
        permit_use* each = outer_;
        while (each != nullptr && &each->tier_ != &tier_) each = each->outer_;
        return each;
    }

    tier& tier_;
    worker& worker_;
    permit_use* const outer_;
    state state_ = state::held;
};

/// While it lives, the permits of the tokens on the calling worker's stack are lent to others,
/// because these wait. lib/domain/backlog.md, "Permits".
class permit_loan {
  public:
    /// @param waiting  null on other threads
    explicit permit_loan(worker* waiting) noexcept {
        if (waiting == nullptr || waiting->permits == nullptr) return;
        for (permit_use* each = waiting->permits; each != nullptr; each = each->outer_) {
            if (each->state_ != permit_use::state::held) continue;
            each->state_ = permit_use::state::lent;
            each->tier_.lend();
            keep(*each);
        }
    }
    ~permit_loan() {
        if (count_ == 0) return;
        // It waits for others, which may ask whether all but them do.
        const worker::pause waiting(lent_[0]->worker_);
        for (std::size_t i = 0; i < count_; ++i) {
            lent_[i]->tier_.take_again();
            lent_[i]->state_ = permit_use::state::held;
        }
    }
    permit_loan(const permit_loan&) = delete;
    permit_loan& operator=(const permit_loan&) = delete;

  private:
    // In an order that all loans keep, so that nobody has a permit that another one waits for, and
    // the other way round.
    void keep(permit_use& which) noexcept {
        std::size_t place = count_++;
        for (; place > 0 && &lent_[place - 1]->tier_ > &which.tier_; --place) {
            lent_[place] = lent_[place - 1];
        }
        lent_[place] = &which;
    }

    std::array<permit_use*, tier_count> lent_{};  ///< at most one of each tier
    std::size_t count_ = 0;
};

}  // namespace tokengate::detail
