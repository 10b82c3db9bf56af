// SPDX-License-Identifier: Apache-2.0
// How an operation is declared: its traits are checked, and what stands behind them is made.
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <tokengate/error.hpp>

#include "domain/backlog.hpp"
#include "locality/chain.hpp"
#include "resilience/supervisor.hpp"
#include "runtime_core.hpp"
#include "token/labels.hpp"

namespace tokengate::detail {

namespace {

[[noreturn]] void refuse(std::string_view operation, const std::string& what) {
    throw operation_error("operation '" + std::string(operation) + "' " + what);
}

void take_keys(operation_core& operation, std::string_view name, const operation_traits& traits) {
    if (!traits.sticky) return;
    if (!traits.external_calls.empty()) {
        refuse(
            name,
            "is sticky and has external calls: a chain runs where its lead was placed, so that a "
            "key cannot place it as well. Drop one of the two, or give the sticky trait to an "
            "operation that the lead calls");
    }
    if (traits.sticky.source() != sticky::key_source::arguments && traits.sticky.anchor().empty()) {
        refuse(name,
               "is sticky by an anchor without a name: pass one that is not empty, or use "
               "sticky::by_arguments()");
    }
    operation.keys = traits.sticky.uses_arguments() ? call_keys::by_arguments : call_keys::one;
    operation.serial = traits.sticky.how() == sticky::serial;
    operation.name_key = {.hash = key_seed(traits.sticky, name, 0),
                          .second = key_seed(traits.sticky, name, 1)};
}

void take_external_calls(operation_core& operation, std::string_view name,
                         const operation_traits& traits) {
    if (traits.external_calls.empty()) return;
    for (const std::string& each : traits.external_calls) {
        if (each.empty()) {
            refuse(name,
                   "names an external call that is empty: list the names of the operations that it "
                   "calls, or leave external_calls out");
        }
    }
    operation.lead = &lead_traits_for(traits.external_calls, traits.digest);
}

}  // namespace

operation_core& runtime_core::adopt(std::string_view name, const operation_traits& traits,
                                    std::unique_ptr<operation_core> operation) {
    if (name.empty()) {
        throw operation_error(
            "an operation needs a name, because reports and errors speak of it by that: pass one "
            "that is not empty");
    }
    if (const std::string wrong = supervisor::complain(traits); !wrong.empty()) {
        refuse(name, "has traits that cannot be: " + wrong);
    }
    declared made{.core = std::move(operation), .aside = {}, .health = {}, .watching = {}};
    operation_core& core = *made.core;
    const bool remembered = settings_.history != 0;
    if (remembered || health_monitor::is_needed_for(traits)) {
        made.health = std::make_unique<health_monitor>(core, traits, alerts_, history_, timers_);
    }
    made.watching =
        std::make_unique<supervisor>(crew_, timers_, traits, memory_, made.health.get());
    core.supervised_by = made.watching.get();
    core.supervised = remembered || supervisor::is_needed_for(traits, memory_);
    const bool by_coroutine = core.type != nullptr && core.type->prepare != nullptr;
    core.needs_entries =
        traits.retry.attempts != 1 || traits.storage != storage::none || by_coroutine;
    if (core.supervised && core.type != nullptr) {
        made.watching->check(name, *core.type);
        core.type = &supervised_frame(*core.type);
    }
    core.label = core.type != nullptr ? &label_for(name, core.type) : &first_label_for(name);
    core.runtime = this;
    core.weight_class = traits.weight;
    core.staggered = traits.placement == tokengate::placement::staggered;
    take_keys(core, name, traits);
    take_external_calls(core, name, traits);
    core.measures = memory_.limited();
    core.coalesces = traits.duplicates == duplicates::coalesce;
    core.prepares = core.measures || core.coalesces || core.keys == call_keys::by_arguments;
    core.anchors = core.keys != call_keys::none || core.lead != nullptr;
    core.only_anchors = core.anchors && !core.supervised && !by_coroutine;
    core.always_special = core.anchors || core.supervised || by_coroutine;
    core.special = core.always_special;
    const std::scoped_lock guard(operations_lock_);
    if (operations_.contains(name)) {
        refuse(
            name,
            "exists already in this runtime: names are unique, choose another or keep the handle "
            "of the first");
    }
    // Relaxed: written under the lock.
    const std::uint32_t number = operation_count_.load(std::memory_order_relaxed);
    if (number == settings_.operation_limit) {
        refuse(name, "is one too many: this runtime has " + std::to_string(number) +
                         " already, which is its operation_limit. Set that higher "
                         "(TOKENGATE_OPERATION_LIMIT), or declare an operation once and keep its "
                         "handle");
    }
    core.number = number;
    made.aside = std::make_unique<backlog>(crew_, core, supervisor::tier_of(traits.storage));
    core.aside = made.aside.get();
    // Only for an operation that nothing else is said against.
    if (core.supervised) timers_.start();
    operations_.emplace(name, std::move(made));
    if (paused_) {
        core.aside->pause();
        core.special = true;
    }
    by_number_[number] = &core;
    // Release: pairs with the acquire of whoever goes through the operations, by number.
    operation_count_.store(number + 1, std::memory_order_release);
    return core;
}

}  // namespace tokengate::detail
