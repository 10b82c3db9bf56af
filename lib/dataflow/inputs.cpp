// SPDX-License-Identifier: Apache-2.0
// Tokens that wait for others. Protocol: README.md.
#include <tokengate/detail/inputs.hpp>

#include <exception>
#include <new>
#include <optional>
#include <vector>

#include "dataflow/continuations.hpp"
#include "dataflow/dependents.hpp"
#include "domain/ending.hpp"
#include "domain/worker.hpp"
#include "fork.hpp"
#include "runtime_core.hpp"

namespace tokengate::detail {

void inputs::await(token_node& dependent) noexcept {
    dependent_ = &dependent;
    // Relaxed: nobody else knows it; the mutexes of the table publish them. One more for the call,
    // and one for the token.
    missing_.store(count_ + 1, std::memory_order_relaxed);
    holders_.store(count_ + 2, std::memory_order_relaxed);
    for (std::size_t i = 0; i < count_; ++i) {
        link& each = links_[i];
        each.of = this;
        each.tell = &inputs::tell;
        each.show = &inputs::show;
        if (!attach(each)) tell(each);
    }
    one_less();
    // Seq_cst is more than it takes: who drops it before a continuation is attached, does so before
    // it takes the mutex of its part.
    if (dropped_.load()) detach_all();
    let_go();
}

void inputs::tell(continuation& which) noexcept {
    inputs& self = *owner_of<link>(which).of;
    self.take_note(*which.awaited);
    self.let_go();
}

void inputs::show(continuation& which, waiter_visitor& to) {
    to.see(*owner_of<link>(which).of->dependent_);
}

void inputs::take_note(token_node& ended) noexcept {
    if (ended.state.phase() == token_state::completed) {
        one_less();
        return;
    }
    // The entry's reference is that of the record, which may go meanwhile.
    token_node& node = *dependent_;
    node.state.retain();
    if (node.state.phase() == token_state::waiting) {
        fail_waiting(node, failure_of_input(node, ended));
    }
    drop_reference(node);
}

// Acquire and release: the last one sees what all inputs have left, and what the call did.
void inputs::one_less() noexcept {
    if (missing_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    token_node& node = *dependent_;
    const continuations::later afterwards;
    const worker* const self = worker::current();
    if (self != nullptr && self->runtime() == runtime_of(node)) {
        // If somebody has killed it, this record goes by itself.
        if (!node.state.begin_placing()) return;
        node.operation->runtime->entrance().place_dependent(node, *this);
        return;
    }
    // Who ends it while it is placed counts it when this lock is free; then the runtime may end,
    // but for visitors.
    std::optional<crew::visitor> here;
    {
        const auto hold = hold_runtimes();
        if (!node.state.begin_placing()) return;
        here.emplace(node.operation->runtime->workers());
    }
    node.operation->runtime->entrance().place_dependent(node, *this);
}

void inputs::drop() noexcept {
    dropped_.store(true);
    detach_all();
    let_go();
}

void inputs::detach_all() noexcept {
    for (std::size_t i = 0; i < count_; ++i) {
        if (detach(links_[i])) let_go();
    }
}

void inputs::let_go() noexcept {
    // Acquire and release: whoever is last destroys what the others have used.
    if (holders_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    token_node* const husk = dropped_.load() ? dependent_ : nullptr;
    delete this;
    if (husk != nullptr) drop_husk(*husk);
}

namespace {

// Those of an operation that wait, and are to die; with a reference to each.
class condemned_waiters final : public waiter_visitor {
  public:
    condemned_waiters(const operation_core& operation, const backlog* condemning) noexcept
        : operation_(operation), condemning_(condemning) {}

    void see(token_node& waiting) override {
        if (waiting.operation != &operation_) return;
        if (waiting.state.phase() != token_state::waiting) return;
        if (condemning_ != nullptr && !condemning_->condemns(waiting)) return;
        found.push_back(&waiting);
        waiting.state.retain();
    }

    std::vector<token_node*> found;

  private:
    const operation_core& operation_;
    const backlog* const condemning_;
};

}  // namespace

std::size_t kill_waiters(const operation_core& operation, const backlog* condemning,
                         std::string_view reason) noexcept {
    std::size_t dead = 0;
    bool all = false;
    while (!all) {
        condemned_waiters those(operation, condemning);
        all = true;
        try {
            continuations::for_each([&](continuation& each) {
                if (each.show != nullptr) each.show(each, those);
            });
        } catch (const std::bad_alloc&) {
            // The others come next.
            all = those.found.empty();
        }
        for (token_node* each : those.found) {
            auto why = prepare_reason(*each, reason);
            if (kill_if_waiting(*each, why ? &*why : nullptr)) ++dead;
            drop_reference(*each);
        }
    }
    return dead;
}

}  // namespace tokengate::detail
