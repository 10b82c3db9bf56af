// SPDX-License-Identifier: Apache-2.0
#include "soak_kinds.hpp"

#include <chrono>
#include <cstdlib>

#include "soak_order.hpp"

namespace tokengate::app {
namespace {

using namespace std::chrono_literals;

constexpr int mixed_kinds = 12;

retry_policy retries(unsigned attempts) {
    return {.attempts = attempts, .initial_delay = 100us, .max_delay = 2ms, .jitter = 0.5};
}

retry_policy picky_retries(unsigned attempts) {
    retry_policy policy = retries(attempts);
    policy.when = [](const std::exception_ptr& error) { return soak_failure::is_passing(error); };
    policy.idempotent = false;
    return policy;
}

/// One for each thing.
std::vector<soak_kind> plain_kinds() {
    const sticky by_all = sticky::by_arguments();
    const sticky shared = sticky::by_anchor_and_arguments("shared");
    const sticky line = sticky::by_arguments(sticky::serial);
    const sticky shared_line = sticky::by_anchor_and_arguments("line", sticky::serial);
    const sticky one_line = sticky::by_anchor("one", sticky::serial);
    std::vector<soak_kind> kinds;
    const auto add = [&kinds](const char* name, const soak_body& body,
                              const operation_traits& traits, const char* shares = "") {
        kinds.push_back({name, body, traits, shares});
    };
    add("heavy", {}, {.weight = weight::heavy});
    add("medium", {}, {.weight = weight::medium});
    add("light", {}, {.weight = weight::light});
    add("staggered", {}, {.weight = weight::heavy, .placement = placement::staggered});
    add("failing", {.fails = 3}, {});
    add("blocking", {.blocks = 4}, {.weight = weight::heavy});
    add("parent", {.parents = 2}, {});
    add("key", {.fails = 20}, {.sticky = by_all});
    add("shared key", {}, {.weight = weight::heavy, .sticky = shared});
    add("shared key of parents", {.parents = 4}, {.weight = weight::light, .sticky = shared});
    add("line", {.fails = 20}, {.sticky = line}, "line of its own");
    add("shared line", {}, {.weight = weight::light, .sticky = shared_line}, "line");
    add("shared line of parents", {.parents = 4}, {.weight = weight::heavy, .sticky = shared_line},
        "line");
    add("one line", {}, {.sticky = one_line}, "one");
    add("lead", {.parents = 1}, {.external_calls = {"heavy"}});
    add("failing lead", {.fails = 5, .parents = 1},
        {.weight = weight::heavy, .external_calls = {"light"}, .digest = digest_policy::fast});
    add("retried", {.fails = 2}, {.retry = retries(4)});
    add("picky", {.fails = 2, .picky = true}, {.retry = picky_retries(3)});
    add("retried parent", {.fails = 4, .parents = 2}, {.retry = retries(2)});
    add("retried line", {.fails = 3}, {.sticky = line, .retry = retries(3)}, "retried line");
    add("retried lead", {.fails = 4, .parents = 2},
        {.external_calls = {"key"}, .retry = retries(3)});
    add("impatient", {}, {.queue_timeout = 300us});
    add("impatient line", {}, {.sticky = line, .queue_timeout = 1ms}, "impatient line");
    add("timed", {.dawdles = 10}, {.run_timeout = 1ms});
    add("timed parent", {.dawdles = 20, .parents = 3}, {.run_timeout = 2ms});
    add("slow", {.blocks = 10}, {.storage = storage::slow});
    add("slow parent", {.parents = 3}, {.weight = weight::heavy, .storage = storage::slow});
    add("moderate", {}, {.weight = weight::light, .storage = storage::moderate});
    add("fast", {}, {.sticky = by_all, .storage = storage::fast});
    add("insane", {.fails = 4},
        {.weight = weight::heavy, .retry = retries(2), .storage = storage::insane});
    return kinds;
}

/// Traits that nobody has thought of together.
soak_kind mixed_kind(int number, soak_random& random) {
    soak_kind kind;
    kind.name = "mixed " + std::to_string(number);
    operation_traits& traits = kind.traits;
    traits.weight = all_weights[random.below(weight_count)];
    if (random.one_in(4)) traits.placement = placement::staggered;
    switch (random.below(5)) {
        case 0: traits.external_calls = {"medium"}; break;
        case 1: traits.sticky = sticky::by_arguments(); break;
        case 2:
            traits.sticky = sticky::by_arguments(sticky::serial);
            kind.line = kind.name;
            break;
        default: break;
    }
    if (random.one_in(3)) traits.queue_timeout = random.one_of({200us, 1000us, 20'000us});
    if (random.one_in(3)) {
        traits.run_timeout = random.one_of({300us, 1000us, 20'000us});
        kind.body.dawdles = 20;
    }
    if (random.one_in(2)) kind.body.fails = 3;
    if (random.one_in(2)) traits.retry = retries(2 + static_cast<unsigned>(random.below(4)));
    if (random.one_in(3)) {
        traits.storage =
            random.one_of({storage::slow, storage::moderate, storage::fast, storage::insane});
    }
    if (random.one_in(2)) kind.body.parents = 4;
    if (random.one_in(4)) kind.body.blocks = 20;
    return kind;
}

bool given(const char* variable) {
    const char* text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): no thread yet
    return text != nullptr && *text != '\0';
}

/// Draws a value unless there is one.
template <class T, class V, std::size_t n>
void draw(std::optional<T>& value, const char* variable, soak_random& random,
          const V (&choice)[n]) {
    const V drawn = random.one_of(choice);  // in any case, for the sake of those that follow
    if (!value && !given(variable)) value = drawn;
}

}  // namespace

std::vector<soak_kind> soak_kinds(std::uint64_t seed) {
    std::vector<soak_kind> kinds = plain_kinds();
    soak_random random(seed);
    for (int i = 0; i < mixed_kinds; ++i) kinds.push_back(mixed_kind(i, random));
    return kinds;
}

config soak_config(config wanted, std::uint64_t seed) {
    soak_random random(~seed);
    draw(wanted.workers_per_core, "TOKENGATE_WORKERS_PER_CORE", random, {1, 1, 2, 3});
    draw(wanted.mailbox_capacity, "TOKENGATE_MAILBOX_CAPACITY", random, {4, 64, 64, 8192});
    draw(wanted.in_flight_limit, "TOKENGATE_IN_FLIGHT_LIMIT", random, {32, 512, 512, 65'536});
    draw(wanted.deque_capacity, "TOKENGATE_DEQUE_CAPACITY", random, {2, 64, 1024});
    draw(wanted.sticky_slots, "TOKENGATE_STICKY_SLOTS", random, {16, 256, 65'536});
    draw(wanted.retry_stride, "TOKENGATE_RETRY_STRIDE", random, {1, 4, 16});
    draw(wanted.help_depth, "TOKENGATE_HELP_DEPTH", random, {4, 64});
    draw(wanted.spin_time, "TOKENGATE_SPIN_TIME", random, {0us, 50us});
    draw(wanted.steal, "TOKENGATE_STEAL", random,
         {stealing::automatic, stealing::soft, stealing::strict});
    return wanted;
}

}  // namespace tokengate::app
