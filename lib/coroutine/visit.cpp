// SPDX-License-Identifier: Apache-2.0
// Coroutines of sync_wait() that go on in the domain of a token. Protocol: README.md, "A visit".
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include <tokengate/detail/inputs.hpp>
#include <tokengate/error.hpp>
#include <tokengate/key_hold.hpp>
#include <tokengate/task.hpp>

#include "domain/crew.hpp"
#include "domain/ending.hpp"
#include "fork.hpp"
#include "locality/domain_key.hpp"
#include "runtime_core.hpp"

namespace tokengate::detail {

namespace {

// How many keys are tried for one of the token's domain. With nine of ten slots pinned elsewhere,
// which is far more than there ever are, one visit in a thousand millions would get none.
constexpr unsigned keys_to_try = 200;

/// One wait of a coroutine that goes on in a token, or, if that ends without having run, where it
/// was: whoever is the first of the two takes it.
class visit final : public coroutine_wait, public continuation {
  public:
    visit(executor& where, std::coroutine_handle<> who) noexcept : coroutine_wait(where, who) {
        tell = token_has_ended;
    }

    /// Its token has been accepted.
    void watch(token<void>&& by, std::shared_ptr<visit> self) noexcept {
        by_ = std::move(by);
        self_ = std::move(self);
        awaited = &handle_access::node_of(by_);
        if (!attach(*this)) tell(*this);
    }

    /// In its token.
    void run() noexcept {
        if (take()) go_on_here();
    }

  private:
    static void token_has_ended(continuation& which) noexcept {
        auto& mine = owner_of<visit>(which);
        // Destroyed here, or by the coroutine when that has gone on.
        const std::shared_ptr<visit> self = std::move(mine.self_);
        if (mine.take()) mine.end();
    }

    // Acquire and release: whoever comes second does nothing; the token was accepted in between.
    [[nodiscard]] bool take() noexcept { return !taken_.exchange(true, std::memory_order_acq_rel); }

    std::atomic<bool> taken_{false};
    token<void> by_;
    std::shared_ptr<visit> self_;  ///< until it has been told
};

/// What the token of a visit has: its key from when the domain is known.
struct ticket {
    std::shared_ptr<visit> of;
    key_hold place;
};

struct run_visit {
    void operator()(ticket have) const noexcept { have.of->run(); }
};

using arguments = arguments_place<void, ticket>;

/// The token that is awaited, whose domain is that of the visit.
class visit_inputs final : public inputs {
  public:
    visit_inputs(token_handle awaited, std::shared_ptr<visit> who)
        : awaited_(std::move(awaited)), who_(std::move(who)) {
        link_.awaited = &handle_access::node_of(awaited_);
        expect(&link_, 1);
    }

    void build(token_node& dependent) override {
        domain_ = link_.awaited->domain.load(std::memory_order_relaxed);
        // Not later: the coroutine may want to move its result out.
        awaited_ = {};
        arguments::build(dependent, ticket{.of = std::move(who_), .place = {}});
    }

    [[nodiscard]] call_key key(token_node& dependent) const override {
        runtime_core* const runtime = dependent.operation->runtime;
        const pinned_key found =
            pin_in_domain(runtime->workers().sticky_keys, next_key_seed(), 0, domain_, keys_to_try);
        std::get<0>(arguments::place::at(arguments::address(dependent))).place =
            key_hold::adopt({.runtime = runtime,
                             .line = nullptr,
                             .slot = found.where.slot,
                             .domain = found.where.domain});
        return {.hash = found.hash, .second = 0};
    }

  private:
    token_handle awaited_;
    std::shared_ptr<visit> who_;
    link link_;
    unsigned domain_ = 0;
};

}  // namespace

void begin_visit(std::shared_ptr<coroutine_wait>& wait, executor& where,
                 std::coroutine_handle<> who, const token_handle& awaited) {
    token_node& node = handle_access::node_of(awaited);
    if (where.helps() && !where.away() && !is_terminal(node.state.phase())) where.bring_about(node);
    runtime_core* runtime = nullptr;
    std::optional<crew::visitor> here;
    {
        const auto hold = hold_runtimes();
        runtime = find_runtime(runtime_of(node));
        // Another one may have the address of one that is gone. Looked at now: a token that is not
        // terminal keeps its runtime.
        if (runtime == nullptr ||
            (is_terminal(node.state.phase()) && !runtime->may_have_run(node))) {
            throw runtime_stopped(
                "resume_in_domain() was called with token " + std::to_string(node.id) +
                " of operation '" + node.label->name +
                "', whose runtime is gone, and its domains with it. Nothing was accepted: await "
                "the token itself");
        }
        here.emplace(runtime->workers());
    }
    operation_core& operation = runtime->visit_operation(node.weight_class);
    auto mine = std::make_shared<visit>(where, who);
    // From here on the executor counts the wait.
    try {
        std::unique_ptr<inputs> waits_for = std::make_unique<visit_inputs>(awaited, mine);
        token_node* const by = begin_dependent_call(operation, *operation.type, admission::wait, 0);
        wait = mine;
        commit_dependent_call(*by, holders::caller, std::move(waits_for));
        mine->watch(token<void>::adopt(by), mine);
    } catch (...) {
        mine->withdraw();
        throw;
    }
}

// A token that is not terminal keeps its runtime; of others only the addresses are left, which may
// be those of a runtime that is gone: but then this one is its like.
bool runtime_core::may_have_run(const token_node& node) const noexcept {
    bool found = false;
    for_each_operation([&](const operation_core& each) { found |= &each == node.operation; });
    return found && node.domain.load(std::memory_order_relaxed) < chosen().cores;
}

operation_core& runtime_core::visit_operation(weight weight_class) {
    return declare_once(visits_[index_of(weight_class)], [&] {
        return declaration{
            .name = "resume_in_domain (" + std::string(to_string(weight_class)) + ")",
            .traits = {.weight = weight_class, .sticky = sticky::by_arguments()},
            .core = std::make_unique<callable_core<run_visit>>(
                &frame_functions<run_visit, void, ticket>::type, run_visit{})};
    });
}

}  // namespace tokengate::detail
