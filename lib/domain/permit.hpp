// SPDX-License-Identifier: Apache-2.0
/// @file
/// The permit of a token that executes, and what becomes of it while that waits.
#pragma once

#include "domain/tier.hpp"
#include "domain/worker.hpp"

namespace tokengate::detail {

/// A permit that the token has which the worker executes; on the worker's stack, whose own thread
/// alone touches it.
class permit_use {
  public:
    permit_use(tier& from, worker& user) noexcept
        : tier_(from), worker_(user), outer_(user.permits) {
        user.permits = this;
    }
    ~permit_use() {
        worker_.permits = outer_;
        tier_.release();
    }
    permit_use(const permit_use&) = delete;
    permit_use& operator=(const permit_use&) = delete;

  private:
    friend class permit_loan;
    tier& tier_;
    worker& worker_;
    permit_use* const outer_;
    bool lent_ = false;
};

/// While it lives, the permits of the tokens on the calling worker's stack are lent to others,
/// because these wait. lib/domain/backlog.md, "Permits".
class permit_loan {
  public:
    /// @param waiting  null on other threads
    explicit permit_loan(worker* waiting) noexcept
        : first_(waiting != nullptr ? waiting->permits : nullptr) {
        for (permit_use* each = first_; each != nullptr; each = each->outer_) {
            // Those beneath wait already.
            if (each->lent_) break;
            each->lent_ = true;
            each->tier_.lend();
            last_ = each;
        }
    }
    ~permit_loan() {
        if (last_ == nullptr) return;
        // It waits for others, which may ask whether all but them do.
        const worker::pause waiting(first_->worker_);
        for (permit_use* each = first_;; each = each->outer_) {
            each->tier_.take_again();
            each->lent_ = false;
            if (each == last_) return;
        }
    }
    permit_loan(const permit_loan&) = delete;
    permit_loan& operator=(const permit_loan&) = delete;

  private:
    permit_use* const first_;
    permit_use* last_ = nullptr;
};

}  // namespace tokengate::detail
