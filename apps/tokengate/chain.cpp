// SPDX-License-Identifier: Apache-2.0
#include "chain.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <deque>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "chain_check.hpp"
#include "chain_forest.hpp"
#include "chain_report.hpp"
#include "measure.hpp"
#include "report.hpp"

namespace tokengate::app {
namespace {

constexpr std::uint32_t families = 3;
constexpr std::uint32_t children = 4;
constexpr const char* family_calls = "square";

/// A child's result: its value, and who made it.
struct child_result {
    std::uint64_t value = 0;
    unsigned thread = 0;
};
using child_token = token<child_result>;

/// A lead's result: its children.
struct family {
    std::vector<child_token> born;
    unsigned thread = 0;
};

/// Three leads whose children their callers see.
chain_phase run_families(runtime& rt, bool broken, chain_result& result, witness& seen) {
    using square_operation = operation<child_result(std::uint64_t)>;
    const square_operation square = rt.operation(family_calls, [](std::uint64_t n) -> child_result {
        return {.value = n * n, .thread = thread_number()};
    });
    operation_traits traits{.weight = weight::heavy};
    if (!broken) traits.external_calls = {family_calls};
    const auto parent = rt.operation("family", traits, [square](std::uint64_t first) -> family {
        family made{.born = {}, .thread = thread_number()};
        for (std::uint64_t n = first; n < first + children; ++n) made.born.push_back(square(n));
        return made;
    });

    chain_phase phase{.name = "family"};
    chain_checker checks(phase);
    const steady::time_point begun = steady::now();
    std::vector<token<family>> parents;
    for (std::uint64_t i = 0; i < families; ++i) parents.push_back(parent(1 + i * children));
    std::uint64_t n = 1;
    for (const token<family>& lead : parents) {
        const family& made = lead.get();
        const std::string seed = checks.check_lead(lead, family_calls, 64);
        ++phase.leads;
        for (const child_token& child : made.born) {
            const child_result ran = child.get();
            if (ran.value != n * n) checks.wrong(child, "has a wrong value");
            checks.check_member(child, lead.domain(), seed, ran.thread);
            ++n;
        }
        checks.check_member(lead, lead.domain(), seed, made.thread);
    }
    rt.wait_idle();
    phase.seconds = seconds(steady::now() - begun);
    result.left_open += rt.open_chains().size();
    phase.misses += seen.merge(checks.seen());
    result.first_miss = checks.first_miss();
    return phase;
}

/// Free tokens of all classes, and some that wait for leads, until it is told to end.
class free_load {
  public:
    explicit free_load(runtime& rt, forest& trees) : trees_(trees) {
        for (const weight each : all_weights) {
            const std::string name = "free " + std::string(to_string(each));
            operations_.push_back(
                rt.operation(name, {.weight = each}, [](std::uint64_t n) { return spin(n); }));
        }
        watch_.push_back(rt.operation("watch", [this](std::uint32_t tree) -> std::uint64_t {
            trees_.visit(trees_.lead(tree), tree % 2 == 0);
            return tree;
        }));
    }

    void end() noexcept {
        // Relaxed: nothing is published by it.
        ended_.store(true, std::memory_order_relaxed);
    }

    /// Submits, some at a time, and checks.
    void run(chain_load& found) {
        for (std::uint64_t n = 0; !ended_.load(std::memory_order_relaxed); ++n) {
            submit(n);
            while (sent_.size() >= window) check_oldest(found);
        }
        while (!sent_.empty()) check_oldest(found);
    }

  private:
    static constexpr std::size_t window = 64;
    static constexpr std::uint64_t watched_stride = 32;

    struct sent {
        token<std::uint64_t> made;
        std::uint64_t expected;
    };

    static std::uint64_t spin(std::uint64_t n) noexcept {
        for (int i = 0; i < 500; ++i) n = n * 6364136223846793005U + 1442695040888963407U;
        return n;
    }

    void submit(std::uint64_t n) {
        const std::uint32_t planted = trees_.planted();
        if (n % watched_stride == 0 && planted > 0) {
            const auto tree = static_cast<std::uint32_t>(n / watched_stride % planted);
            sent_.push_back({watch_.front()(tree), tree});
        } else {
            sent_.push_back({operations_[n % operations_.size()](n), spin(n)});
        }
    }

    void check_oldest(chain_load& found) {
        const sent& oldest = sent_.front();
        if (oldest.made.get() != oldest.expected || !oldest.made.seed().empty()) ++found.wrong;
        ++found.free_tokens;
        sent_.pop_front();
    }

    forest& trees_;
    std::vector<operation<std::uint64_t(std::uint64_t)>> operations_;
    std::vector<operation<std::uint64_t(std::uint32_t)>> watch_;
    std::deque<sent> sent_;
    std::atomic<bool> ended_{false};
};

/// Runs until told to end, and is told so by its destructor too.
template <class Body, class End>
class companion {
  public:
    companion(Body body, End end)
        : end_(std::move(end)), thread_(std::async(std::launch::async, std::move(body))) {}
    ~companion() { end_(); }
    companion(const companion&) = delete;
    companion& operator=(const companion&) = delete;

    void finish() {
        end_();
        thread_.get();
    }

  private:
    End end_;
    std::future<void> thread_;  // whose destructor waits
};

/// Blocks until nothing runs any more: neither a token, nor the callable of one that was killed
/// while it executed, nor what that one has created meanwhile.
void settle(runtime& rt, const forest& trees) {
    std::uint64_t before = 0;
    std::uint64_t accepted = 0;
    do {
        before = accepted;
        rt.wait_idle();
        while (!trees.quiet()) std::this_thread::yield();
        accepted = rt.stats().total().accepted;
    } while (accepted != before);
}

/// Trees of chains under load, with kills and exceptions.
chain_phase run_forest(runtime& rt, forest& trees, free_load& load, std::uint32_t leads,
                       chain_result& result, witness& seen, progress_line& progress) {
    chain_phase phase{.name = "forest"};
    const steady::time_point begun = steady::now();
    std::atomic<bool> all_planted{false};
    {
        companion busy([&] { load.run(result.load); }, [&] { load.end(); });
        companion killer(
            [&] {
                // Relaxed: whatever it misses lives on.
                while (!all_planted.load(std::memory_order_relaxed)) {
                    if (!trees.kill_some()) std::this_thread::yield();
                }
            },
            [&] { all_planted.store(true, std::memory_order_relaxed); });
        for (std::uint32_t tree = 0; tree < leads; ++tree) {
            trees.plant(tree);
            if (tree % 64 == 0) {
                const std::uint64_t open = rt.open_chains().size();
                result.load.most_open = std::max(result.load.most_open, open);
                progress.show("lead " + std::to_string(tree) + " of " + std::to_string(leads));
            }
        }
        for (std::uint32_t tree = 0; tree < leads; ++tree) trees.lead(tree).wait();
        busy.finish();
        killer.finish();
        trees.kill_some();
    }
    settle(rt, trees);
    phase.seconds = seconds(steady::now() - begun);
    result.left_open += rt.open_chains().size();
    // The workers are gone then, so that no callable runs behind the back of the checks.
    rt.stop();

    chain_checker checks(phase);
    trees.check(checks, phase);
    phase.misses += seen.merge(checks.seen());
    if (result.first_miss.empty()) result.first_miss = checks.first_miss();
    result.load.waits = trees.waits();
    result.load.refused_waits = trees.refused_waits();
    result.load.refused_parents = trees.refused_parents();
    result.load.kills = trees.kills();
    return phase;
}

}  // namespace

int run_chain(const chain_options& options) {
    forest trees(options.leads, options.seed);
    runtime rt(options.runtime.to_config());
    progress_line progress;
    chain_result result;
    witness seen;

    progress.show("families");
    result.phases.push_back(run_families(rt, options.broken, result, seen));
    trees.declare(rt, options.broken);
    free_load load(rt, trees);
    result.phases.push_back(run_forest(rt, trees, load, options.leads, result, seen, progress));
    result.stats = rt.stats();
    progress.clear();

    if (options.json) {
        print_json(chain_json(result));
    } else {
        print_chain(result);
    }
    complain(result.expectations(), result.first_miss);
    return result.verified() ? exit_fine : exit_check_failed;
}

}  // namespace tokengate::app
