// SPDX-License-Identifier: Apache-2.0
#include "storm.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "fidelity.hpp"
#include "measure.hpp"
#include "report.hpp"
#include "storm_keys.hpp"
#include "storm_report.hpp"

namespace tokengate::app {
namespace {

constexpr std::uint32_t anchored_keys = 4;
constexpr std::uint32_t burst_rounds = 32;  // tokens of each anchored key in a burst
constexpr int work_rounds = 1'000;          // of a token of the storm: some microseconds
constexpr std::uint32_t most_serial_keys = 100;
constexpr std::uint32_t most_serial_tokens = 1'000;  // for each key

// Anchors leave after this time: limits may be so tight that nothing can be submitted or run beside
// them.
constexpr std::chrono::seconds anchor_patience{2};

/// Closed at first; whoever waits at it goes on when it is opened, or at its deadline.
class door {
  public:
    void wait_until(steady::time_point deadline) {
        std::unique_lock guard(lock_);
        opened_.wait_until(guard, deadline, [this] { return open_; });
    }
    void open() {
        {
            const std::scoped_lock guard(lock_);
            open_ = true;
        }
        opened_.notify_all();
    }

  private:
    std::mutex lock_;
    std::condition_variable opened_;
    bool open_ = false;
};

/// What the callables refer to; lives longer than the runtime.
struct storm_state {
    storm_state(const storm_options& options, unsigned domains)
        : anchor_keys(anchored_keys, domains),
          keys(options.keys, domains),
          serial_keys(std::min(options.keys, most_serial_keys), domains),
          lines(serial_keys.size()) {}

    door anchors_may_end;
    key_book anchor_keys;
    std::atomic<std::uint64_t> beside{0};
    key_book keys;
    key_book serial_keys;

    /// What a serial key protects: no lock, no atomics.
    struct line {
        std::uint32_t next = 0;
        bool busy = false;
    };
    std::vector<line> lines;
    std::atomic<std::uint64_t> side_by_side{0};
};

/// The traits of an operation with keys that others may share; without keys if it is broken.
operation_traits keyed(bool broken, std::string_view anchor, weight weight_class,
                       sticky::mode how = sticky::colocate) {
    operation_traits traits{.weight = weight_class};
    if (!broken) traits.sticky = sticky::by_anchor_and_arguments(anchor, how);
    return traits;
}

/// Tokens of an operation that stay until the bursts are over pin four keys; meanwhile another
/// operation's tokens with these keys come in bursts from another thread.
storm_phase run_bursts(runtime& rt, const storm_options& options, storm_state& state,
                       key_findings& found) {
    // An anchor blocks where the runtime sees it, so that a reserve worker of its domain can run
    // the bursts beside it, even where all four are in one domain.
    const steady::time_point begun = steady::now();
    const steady::time_point deadline = begun + anchor_patience;
    key_book& keys = state.anchor_keys;
    auto anchor = rt.operation("anchor", keyed(false, "pinned", weight::heavy),
                               [&state, deadline](std::uint32_t key) -> storm_run {
                                   blocking([&] { state.anchors_may_end.wait_until(deadline); });
                                   state.anchor_keys.ends(key);
                                   return {.sequence = 0, .thread = thread_number()};
                               });
    auto quick = rt.operation("quick", keyed(options.broken, "pinned", weight::heavy),
                              [&state](std::uint32_t key) -> storm_run {
                                  if (state.anchor_keys.surely_in_flight(key, 1)) {
                                      // Relaxed: a plain counter.
                                      state.beside.fetch_add(1, std::memory_order_relaxed);
                                  }
                                  return {.sequence = 0, .thread = thread_number()};
                              });

    storm_phase phase{.name = "bursts", .keys = anchored_keys};
    std::vector<token<storm_run>> anchors;
    const auto check = [&](const token<storm_run>& done, std::uint32_t key, bool bound) {
        const storm_run ran = done.get();
        const unsigned expected = bound ? anchors[key].domain() : done.domain();
        if (done.domain() != expected || !found.seen.saw(ran.thread, expected)) {
            ++phase.misses;
            if (found.first_miss.empty()) {
                found.first_miss = "the first miss: a token of anchored key " +
                                   std::to_string(key) + " ran in domain " +
                                   std::to_string(done.domain()) + ", its anchor in " +
                                   std::to_string(expected);
            }
        }
        ++found.by_domain[done.domain()];
        ++phase.tokens;
        if (bound) ++phase.bound;
    };
    struct quick_token {
        token<storm_run> made;
        std::uint32_t key;
        bool bound;  ///< to the domain of the anchor, which was there before and after the call
    };
    const auto send_bursts = [&] {
        std::vector<quick_token> sent;
        for (std::uint32_t burst = 0; burst < options.bursts; ++burst) {
            const std::size_t first = sent.size();
            for (std::uint32_t i = 0; i < burst_rounds * anchored_keys; ++i) {
                const std::uint32_t key = i % anchored_keys;
                token<storm_run> made = quick(key);
                sent.push_back({std::move(made), key, keys.surely_in_flight(key, 1)});
            }
            for (std::size_t i = first; i < sent.size(); ++i) {
                static_cast<void>(sent[i].made.wait_until(deadline));
            }
        }
        return sent;
    };
    try {
        for (std::uint32_t key = 0; key < anchored_keys; ++key) anchors.push_back(anchor(key));
        const std::vector<quick_token> sent = std::async(std::launch::async, send_bursts).get();
        state.anchors_may_end.open();
        for (const quick_token& each : sent) check(each.made, each.key, each.bound);
        for (std::uint32_t key = 0; key < anchored_keys; ++key) check(anchors[key], key, true);
    } catch (...) {
        state.anchors_may_end.open();  // the runtime waits for the anchors
        throw;
    }
    phase.seconds = seconds(steady::now() - begun);
    return phase;
}

/// Submits all tokens of the keys, half of which are held meanwhile.
storm_phase run_keys(std::string_view name, const storm_operation& op,
                     const storm_operation& holder, key_book& keys, const key_load& load,
                     key_findings& found) {
    const steady::time_point begun = steady::now();
    keys.hold_half(holder);
    const key_findings all = submit_all(op, keys, load);
    keys.let_go();
    found.merge(all);
    return {.name = name,
            .keys = keys.size(),
            .tokens = all.tokens,
            .bound = all.bound,
            .misses = all.misses,
            .disorder = all.disorder,
            .seconds = seconds(steady::now() - begun)};
}

storm_phase run_storm_phase(runtime& rt, const storm_options& options, storm_state& state,
                            key_findings& found) {
    key_book& keys = state.keys;
    const auto body = [&keys](std::uint32_t key) -> storm_run {
        // Takes longer than submitting, so that tokens queue up and keys have several in flight.
        std::uint32_t work = key;
        for (int i = 0; i < work_rounds; ++i) work = work * 1664525U + 1013904223U;
        keys.ends(key);
        return {.sequence = work, .thread = thread_number()};
    };
    const auto holder = rt.operation("storm holder", keyed(false, "storm", weight::medium), body);
    const auto op = rt.operation("storm", keyed(options.broken, "storm", weight::medium), body);
    return run_keys(
        "storm", op, holder, keys,
        {.tokens = options.tokens, .seed = options.seed, .domains = rt.settings().cores}, found);
}

storm_phase run_serial_phase(runtime& rt, const storm_options& options, storm_state& state,
                             key_findings& found) {
    const auto body = [&state](std::uint32_t key) -> storm_run {
        storm_state::line& mine = state.lines[key];
        // Relaxed: a plain counter.
        if (mine.busy) state.side_by_side.fetch_add(1, std::memory_order_relaxed);
        mine.busy = true;
        const std::uint32_t sequence = mine.next;
        // Now and then another thread of the domain goes on meanwhile: with the next token of this
        // key, if it may.
        if (sequence % 16 == 0) blocking([] { std::this_thread::yield(); });
        mine.next = sequence + 1;
        mine.busy = false;
        state.serial_keys.ends(key);
        return {.sequence = sequence, .thread = thread_number()};
    };
    const auto holder =
        rt.operation("serial holder", keyed(false, "serial", weight::medium, sticky::serial), body);
    const auto op = rt.operation(
        "serial", keyed(options.broken, "serial", weight::medium, sticky::serial), body);
    storm_phase phase = run_keys("serial", op, holder, state.serial_keys,
                                 {.tokens = std::min(options.tokens, most_serial_tokens),
                                  .seed = options.seed,
                                  .domains = rt.settings().cores,
                                  .in_order = true},
                                 found);
    phase.disorder += state.side_by_side.load(std::memory_order_relaxed);
    return phase;
}

config config_of(const storm_options& options) {
    config wanted = options.runtime.to_config();
    // Keys are dealt to all domains in turn, one after the other, also while nobody is busy.
    wanted.first_core.medium = 0;
    return wanted;
}

/// How many domains a runtime with this configuration has.
unsigned domains_of(const config& wanted) {
    std::optional<topology> map;
    return resolve(wanted, map).cores;
}

}  // namespace

int run_storm(const storm_options& options) {
    if (std::uint64_t{options.keys} * options.tokens > most_storm_tokens) {
        throw usage_error("--keys times --tokens is " +
                          std::to_string(std::uint64_t{options.keys} * options.tokens) +
                          "; allowed are 1 to 10^8");
    }
    const config wanted = config_of(options);
    storm_state state(options, domains_of(wanted));
    runtime rt(wanted);
    progress_line progress;
    storm_result result;
    key_findings found;
    found.by_domain.resize(rt.settings().cores);

    progress.show("bursts beside anchors");
    result.phases.push_back(run_bursts(rt, options, state, found));
    progress.show("storm of " + count_text(options.keys, "key"));
    result.phases.push_back(run_storm_phase(rt, options, state, found));
    progress.show("serial keys");
    result.phases.push_back(run_serial_phase(rt, options, state, found));

    rt.wait_idle();
    result.stats = rt.stats();
    result.keys_by_domains = state.keys.keys_by_domains();
    result.first_miss = found.first_miss;
    // Relaxed: all who count have ended.
    result.beside = state.beside.load(std::memory_order_relaxed);
    result.burst_tokens = result.phases[0].tokens - anchored_keys;
    result.strays = found.misses - result.phases[1].misses - result.phases[2].misses;
    result.tokens_by_domain = found.by_domain;
    progress.clear();

    if (options.json) {
        print_json(storm_json(result));
    } else {
        print_storm(result);
    }
    complain(result.expectations(), result.first_miss);
    return result.verified() ? exit_fine : exit_check_failed;
}

}  // namespace tokengate::app
