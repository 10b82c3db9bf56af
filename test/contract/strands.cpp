// SPDX-License-Identifier: Apache-2.0
// Serial keys: one token at a time, in the order of submission.
#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

/// What the tokens of one key share, without any lock: that is what the strand is for.
class serial_record {
  public:
    /// To be called inside each token of the key: its thread's number and how many it made before.
    void pass(std::size_t thread, int number) {
        if (inside_.exchange(true)) together_ = true;
        in_order_ = in_order_ && last_[thread] < number;
        last_[thread] = number;
        ++count_;
        // Somebody else gets a chance to come in.
        if (count_ % 16 == 0) std::this_thread::yield();
        if (!inside_.exchange(false)) together_ = true;
    }

    void check(int expected) const {
        CHECK(count_ == expected);
        CHECK(in_order_);
        CHECK_FALSE(together_);
    }

  private:
    std::array<int, 4> last_{-1, -1, -1, -1};
    int count_ = 0;
    bool in_order_ = true;
    std::atomic<bool> inside_{false};
    std::atomic<bool> together_{false};
};

constexpr auto serial = sticky::serial;

}  // namespace

TEST_CASE("serial_tokens_run_one_at_a_time_and_in_the_order_of_each_thread") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        std::array<serial_record, 5> records;
        std::vector<operation<void(std::size_t, int)>> by_key;
        for (std::size_t key = 0; key < records.size(); ++key) {
            by_key.push_back(rt.operation(
                "op " + std::to_string(key),
                {.weight = all_weights[key % weight_count],
                 .sticky = sticky::by_anchor("key " + std::to_string(key), serial)},
                [&, key](std::size_t thread, int number) { records[key].pass(thread, number); }));
        }
        std::vector<std::thread> crowd;
        for (std::size_t thread = 0; thread < 3; ++thread) {
            crowd.emplace_back([&, thread] {
                for (int i = 0; i < 500; ++i) {
                    by_key[static_cast<std::size_t>(i) % by_key.size()](thread, i);
                }
            });
        }
        for (std::thread& each : crowd) each.join();
        settle_locality(rt);
        for (const serial_record& each : records) each.check(300);
    });
}

TEST_CASE("serial_tokens_of_one_key_run_in_one_domain") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        hold gate;
        const auto op = rt.operation("op", {.sticky = sticky::by_arguments(serial)}, [&](int) {
            gate.pass();
            return here();
        });
        std::vector<std::vector<token<unsigned>>> by_key(5);
        for (int i = 0; i < 100; ++i) by_key[static_cast<std::size_t>(i) % 5].push_back(op(i % 5));
        CHECK(rt.stats().locality.serial_keys == 5);
        gate.release();
        for (const auto& tokens : by_key) {
            for (const auto& each : tokens) CHECK(result_of(each) == result_of(tokens.front()));
        }
        settle_locality(rt);
    });
}

TEST_CASE("a_serial_token_that_waits_for_its_turn_blocks_no_worker") {
    for (const int cores : {1, 2, 4}) {
        runtime rt({.cores = cores, .workers_per_core = 2});
        hold gate;
        const auto op =
            rt.operation("op", {.sticky = sticky::by_anchor("key", serial)}, [&] { gate.pass(); });
        const auto other = rt.operation("other", [] {});
        const auto neighbour =
            rt.operation("neighbour", {.sticky = sticky::by_anchor("other")}, [] {});
        const token<void> first = op();
        REQUIRE(gate.await(1));
        std::vector<token<void>> waiting;
        for (int i = 0; i < 100; ++i) waiting.push_back(op());
        for (int i = 0; i < 100; ++i) {
            REQUIRE(ends(other()));
            REQUIRE(ends(neighbour()));
        }
        CHECK(gate.arrived() == 1);
        for (const auto& each : waiting) CHECK(each.state() == token_state::waiting);
        gate.release();
        settle_locality(rt);
        CHECK(gate.arrived() == 101);
    }
}

TEST_CASE("a_serial_token_that_throws_lets_the_next_one_run") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        serial_record record;
        const auto op =
            rt.operation("op", {.sticky = sticky::by_anchor("key", serial)}, [&](int n) {
                record.pass(0, n);
                if (n % 3 == 0) throw std::runtime_error("three");
                if (n % 3 == 1) throw n;
            });
        for (int n = 0; n < 300; ++n) op(n);
        settle_locality(rt);
        record.check(300);
        CHECK(rt.stats().total().failed == 200);
    });
}

TEST_CASE("serial_tokens_that_create_tokens_of_their_own_key_queue_them_behind_all_others") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        std::atomic<bool> inside{false};
        std::atomic<int> ran{0};
        std::atomic<bool> together{false};
        const operation<void(int)>* self = nullptr;
        const operation<void(int)> op =
            rt.operation("op", {.sticky = sticky::by_anchor("key", serial)}, [&](int depth) {
                if (inside.exchange(true)) together = true;
                ++ran;
                if (depth > 0) {
                    for (int i = 0; i < 3; ++i) (*self)(depth - 1);
                }
                inside = false;
            });
        self = &op;
        op(5);
        settle_locality(rt);
        CHECK(ran == 1 + 3 + 9 + 27 + 81 + 243);
        CHECK_FALSE(together);
    });
}

TEST_CASE("a_serial_token_that_waits_for_one_behind_it_is_told") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        const operation<int(int)>* self = nullptr;
        std::atomic<int> told{0};
        const operation<int(int)> op =
            rt.operation("op", {.sticky = sticky::by_anchor("key", serial)}, [&](int depth) {
                if (depth == 0) return 0;
                const token<int> behind = (*self)(depth - 1);
                try {
                    behind.wait();
                } catch (const deadlock&) {
                    ++told;
                }
                try {
                    behind.wait(isolated);
                } catch (const deadlock&) {
                    ++told;
                }
                return depth;
            });
        self = &op;
        CHECK(result_of(op(10)) == 10);
        settle_locality(rt);
        CHECK(told == 20);
    });
}

TEST_CASE("a_serial_token_that_waits_by_way_of_others_for_one_behind_it_is_told") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        std::optional<operation<int(int)>> self;
        std::atomic<int> told{0};
        // Waits for the serial one behind the one that waits for it.
        const auto between = rt.operation("between", [&](const token<int>& behind) {
            try {
                behind.wait();
            } catch (const deadlock&) {
                ++told;
            }
        });
        self = rt.operation("op", {.sticky = sticky::by_anchor("key", serial)}, [&](int depth) {
            if (depth == 0) return 0;
            const token<int> behind = (*self)(depth - 1);
            try {
                between(behind).wait();
            } catch (const deadlock&) {
                ++told;
            }
            return depth;
        });
        for (int i = 0; i < 20; ++i) CHECK(result_of((*self)(1)) == 1);
        settle_locality(rt);
        CHECK(told >= 20);
    });
}

TEST_CASE("many_serial_keys_at_once_keep_their_own_order") {
    for (const int workers : {1, 2}) {
        runtime rt({.cores = 8, .workers_per_core = workers, .sticky_slots = 64});
        constexpr std::size_t keys = 1000;
        std::vector<serial_record> records(keys);
        std::vector<operation<void(int)>> by_key;
        for (std::size_t key = 0; key < keys; ++key) {
            const std::string name = "key " + std::to_string(key);
            by_key.push_back(rt.operation(name, {.sticky = sticky::by_anchor(name, serial)},
                                          [&, key](int n) { records[key].pass(0, n); }));
        }
        for (int n = 0; n < 10; ++n) {
            for (const auto& op : by_key) op(n);
        }
        settle_locality(rt);
        for (const serial_record& each : records) each.check(10);
    }
}

TEST_CASE("a_long_line_of_serial_tokens_is_worked_off") {
    runtime rt({.cores = 2, .mailbox_capacity = 100'000});
    hold gate;
    serial_record record;
    const auto op = rt.operation("op", {.sticky = sticky::by_anchor("key", serial)}, [&](int n) {
        if (n == 0) gate.pass();
        record.pass(0, n);
    });
    op(0);
    const int count = static_cast<int>(scaled(50'000));
    for (int n = 1; n < count; ++n) op(n);
    CHECK(rt.stats().total().in_flight() == static_cast<std::uint64_t>(count));
    gate.release();
    settle_locality(rt);
    record.check(count);
}

TEST_CASE("operations_with_one_serial_anchor_exclude_each_other") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        serial_record record;
        const sticky shared = sticky::by_anchor("shared", serial);
        const auto body = [&](int n) { record.pass(0, n); };
        const auto heavy = rt.operation("heavy", {.weight = weight::heavy, .sticky = shared}, body);
        const auto light = rt.operation("light", {.weight = weight::light, .sticky = shared}, body);
        for (int n = 0; n < 500; n += 2) {
            heavy(n);
            light(n + 1);
        }
        settle_locality(rt);
        record.check(500);
    });
}

TEST_CASE("a_serial_token_in_a_chain_waits_for_its_turn_and_runs_in_the_chains_domain") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        serial_record record;
        std::atomic<bool> strayed{false};
        std::atomic<int> number{0};
        const auto op = rt.operation("op", {.sticky = sticky::by_anchor("key", serial)},
                                     [&](unsigned home, int n) {
                                         static_cast<void>(n);
                                         record.pass(0, number++);
                                         strayed = strayed || home != here();
                                     });
        const auto lead = rt.operation("lead", {.external_calls = {"op"}}, [&] {
            std::vector<token<void>> made;
            for (int i = 0; i < 20; ++i) made.push_back(op(here(), i));
            // Its own turn comes while it waits, in whatever domain the others are.
            wait_all(made);
        });
        for (int i = 0; i < 20; ++i) lead();
        settle_locality(rt);
        record.check(400);
        CHECK_FALSE(strayed);
    });
}

TEST_CASE("a_token_can_wait_for_a_serial_one_whose_turn_comes_later") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        std::atomic<int> sum{0};
        const auto op = rt.operation("op", {.sticky = sticky::by_anchor("key", serial)},
                                     [&](int n) { return sum += n; });
        const auto waits = rt.operation("waits", [&](bool alone) {
            std::vector<token<int>> made;
            for (int i = 0; i < 10; ++i) made.push_back(op(1));
            for (std::size_t i = made.size(); i-- > 0;) {
                if (alone) {
                    made[i].wait(isolated);
                } else {
                    made[i].wait();
                }
            }
        });
        for (int i = 0; i < 20; ++i) waits(i % 2 == 0);
        settle_locality(rt);
        CHECK(sum == 200);
    });
}

TEST_CASE("a_serial_token_may_create_more_tokens_of_its_key_than_the_limits_allow") {
    for (const bool lane_is_small : {true, false}) {
        INFO("the lane is small: ", lane_is_small);
        runtime rt({.cores = 1,
                    .mailbox_capacity = lane_is_small ? 1 : 100,
                    .in_flight_limit = lane_is_small ? 100 : 1});
        std::optional<operation<void(int)>> op;
        std::atomic<int> ran{0};
        op = rt.operation("op", {.sticky = sticky::by_anchor("key", serial)}, [&](int depth) {
            ++ran;
            for (int i = 0; i < 3 * depth; ++i) (*op)(depth - 1);
        });
        (*op)(2);
        settle_locality(rt);
        CHECK(ran == 1 + 6 + 6 * 3);
    }
}

TEST_CASE("what_a_serial_token_waits_for_may_create_tokens_at_the_limit") {
    runtime rt({.cores = 2, .in_flight_limit = 4, .steal = stealing::soft});
    std::atomic<bool> filled{false};
    std::atomic<bool> begun{false};
    std::optional<operation<void(bool)>> op;
    const auto maker = rt.operation("maker", {.weight = weight::heavy}, [&] {
        begun = true;
        // They wait for the turn of the one that waits for this.
        for (int i = 0; i < 20; ++i) (*op)(false);
    });
    op = rt.operation("op", {.sticky = sticky::by_anchor("key", serial)}, [&](bool first) {
        if (!first) return;
        while (!filled) std::this_thread::yield();
        const token<void> made = maker();
        // Another worker takes it.
        while (!begun) std::this_thread::yield();
        made.wait(isolated);
    });
    (*op)(true);
    for (int i = 0; i < 3; ++i) (*op)(false);
    CHECK_FALSE(op->try_call(false));
    filled = true;
    settle_locality(rt);
    CHECK(rt.stats().total().completed == 25);
}

}  // namespace tokengate::test
