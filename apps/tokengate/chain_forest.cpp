// SPDX-License-Identifier: Apache-2.0
#include "chain_forest.hpp"

#include <stdexcept>
#include <string>
#include <utility>

namespace tokengate::app {
namespace {

constexpr std::size_t full_digits = 64;
constexpr std::size_t brief_digits = 16;
constexpr const char* lead_calls = "branch";
constexpr const char* nested_calls = "leaf";

/// Scatters the bits of a number (the finaliser of splitmix64).
std::uint64_t scatter(std::uint64_t value) noexcept {
    value += 0x9e37'79b9'7f4a'7c15U;
    value = (value ^ (value >> 30U)) * 0xbf58'476d'1ce4'e5b9U;
    value = (value ^ (value >> 27U)) * 0x94d0'49bb'1331'11ebU;
    return value ^ (value >> 31U);
}

constexpr std::uint64_t square(std::uint64_t n) noexcept { return n * n; }

}  // namespace

void forest::declare(runtime& rt, bool broken) {
    const auto body = [this](std::uint32_t number) { return grow(number); };
    const auto opening = [broken](weight weight_class, const char* calls, digest_policy digest) {
        operation_traits traits{.weight = weight_class, .digest = digest};
        if (!broken) traits.external_calls = {calls};
        return traits;
    };
    most_isolated_ = rt.settings().reserve_workers / 2;
    // Leads may be anywhere; what they create follows them, also where its class alone would not
    // let it.
    lead_ = rt.operation("lead", opening(weight::heavy, lead_calls, digest_policy::full), body);
    nested_ =
        rt.operation("nested", opening(weight::medium, nested_calls, digest_policy::brief), body);
    branch_ = rt.operation("branch", {.weight = weight::medium}, body);
    leaf_ = rt.operation("leaf", {.weight = weight::light}, body);
}

forest::plan forest::plan_of(std::uint32_t number) const noexcept {
    const std::uint32_t in_tree = number % tree_shape::size;
    const bool is_lead = in_tree == 0;
    const bool inner = in_tree < tree_shape::inner;
    std::uint64_t random = scatter(scatter(seed_) ^ number);
    const auto one_in = [&random](unsigned n) {
        const bool hit = random % n == 0;
        random = scatter(random);
        return hit;
    };
    return {.nested = one_in(6) && inner && !is_lead,
            .throws = one_in(40),
            .dies_at_once = one_in(50),
            .dies_later = one_in(50),
            .waits = one_in(2) && inner,
            .visits = one_in(is_lead ? 8 : 60) && inner && number >= tree_shape::size,
            .isolated_visit = one_in(2)};
}

const forest::grow_operation& forest::operation_of(std::uint32_t number) const {
    const std::uint32_t in_tree = number % tree_shape::size;
    if (in_tree == 0) return *lead_;
    if (in_tree >= tree_shape::inner) return *leaf_;
    return plan_of(number).nested ? *nested_ : *branch_;
}

void forest::plant(std::uint32_t tree) {
    make_child(tree * tree_shape::size);
    // Release: pairs with the acquire of planted().
    planted_.store(tree + 1, std::memory_order_release);
}

void forest::make_child(std::uint32_t number) {
    place& child = places_[number];
    const plan fate = plan_of(number);
    child.made = operation_of(number)(number);
    if (fate.dies_at_once) {
        kill(child.made);
    } else if (fate.dies_later) {
        const std::scoped_lock guard(doomed_lock_);
        doomed_.push_back(child.made);
    }
}

void forest::kill(const detail::token_handle& which) {
    // Relaxed, here and below: plain counters.
    if (which.kill()) kills_.fetch_add(1, std::memory_order_relaxed);
}

bool forest::kill_some() {
    std::vector<token<std::uint64_t>> now;
    {
        const std::scoped_lock guard(doomed_lock_);
        now.swap(doomed_);
    }
    for (const token<std::uint64_t>& each : now) kill(each);
    return !now.empty();
}

void forest::visit(const detail::token_handle& other, bool isolated_visit) {
    if (!isolated_visit) return wait_for(other, false, refused_waits_);
    // Relaxed: a plain number, which nothing is published by.
    const unsigned others = isolated_.fetch_add(1, std::memory_order_relaxed);
    wait_for(other, others < most_isolated_, refused_waits_);
    isolated_.fetch_sub(1, std::memory_order_relaxed);
}

void forest::wait_for(const detail::token_handle& other, bool isolated_wait,
                      std::atomic<std::uint64_t>& refused) {
    waits_.fetch_add(1, std::memory_order_relaxed);
    try {
        if (isolated_wait) {
            other.wait(isolated);
        } else {
            other.wait();
        }
    } catch (const deadlock&) {
        // The other one lies below this one on the stack of a worker that helps, here or round a
        // few corners. Then whoever waits has to give way.
        refused.fetch_add(1, std::memory_order_relaxed);
    }
}

std::uint64_t forest::grow(std::uint32_t number) {
    struct presence {
        explicit presence(std::atomic<std::uint64_t>& count) : inside(count) {
            inside.fetch_add(1, std::memory_order_relaxed);
        }
        // Release: pairs with the acquire of quiet().
        ~presence() { inside.fetch_sub(1, std::memory_order_release); }
        std::atomic<std::uint64_t>& inside;
    };
    const presence here(inside_);
    place& mine = places_[number];
    mine.thread = thread_number();
    mine.ran = true;

    const plan fate = plan_of(number);
    const std::uint32_t tree = number / tree_shape::size;
    const std::uint32_t in_tree = number % tree_shape::size;
    if (in_tree < tree_shape::inner) {
        const std::uint32_t first = tree * tree_shape::size + in_tree * tree_shape::children + 1;
        for (std::uint32_t i = 0; i < tree_shape::children; ++i) make_child(first + i);
        if (fate.waits) {
            for (std::uint32_t i = 0; i < tree_shape::children; ++i) {
                wait_for(places_[first + i].made, false, refused_parents_);
            }
        }
        if (fate.visits) visit(lead(tree - 1), fate.isolated_visit);
    }
    if (fate.throws) throw std::runtime_error("a token of the forest throws, as planned");
    return square(number);
}

void forest::check(chain_checker& checks, chain_phase& phase) const {
    std::vector<std::string> seeds(tree_shape::size);  // of the chain of each place in the tree
    for (std::uint32_t tree = 0; tree < planted(); ++tree) {
        const unsigned domain = lead(tree).domain();
        for (std::uint32_t in_tree = 0; in_tree < tree_shape::size; ++in_tree) {
            const std::uint32_t number = tree * tree_shape::size + in_tree;
            const place& here = places_[number];
            const plan fate = plan_of(number);
            if (in_tree > 0) seeds[in_tree] = seeds[(in_tree - 1) / tree_shape::children];
            if (!here.made.valid()) continue;  // who would have made it was killed before it ran
            if (in_tree == 0) {
                ++phase.leads;
                seeds[in_tree] = checks.check_lead(here.made, lead_calls, full_digits);
            } else if (fate.nested) {
                ++phase.nested;
                seeds[in_tree] = checks.check_lead(here.made, nested_calls, brief_digits);
            }
            checks.check_member(here.made, domain, seeds[in_tree],
                                here.ran ? std::optional(here.thread) : std::nullopt);
            const token_state end = here.made.state();
            if (end == token_state::completed) {
                if (!here.ran || fate.throws) checks.wrong(here.made, "completed, which is wrong");
                if (here.made.get() != square(number)) checks.wrong(here.made, "has a wrong value");
            } else if (end == token_state::failed) {
                if (!here.ran || !fate.throws) checks.wrong(here.made, "failed, which is wrong");
            } else if (!fate.dies_at_once && !fate.dies_later) {
                checks.wrong(here.made, "was killed by nobody");
            }
        }
    }
}

}  // namespace tokengate::app
