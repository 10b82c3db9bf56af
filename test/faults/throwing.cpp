// SPDX-License-Identifier: Apache-2.0
// Arguments, callables and results that throw, at each step of a token's life.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "injection.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

struct tripped {};

std::atomic<int> steps_left{-1};  ///< the step at 0 throws; below: none does
std::atomic<int> alive{0};

/// Called wherever something of the user's may throw.
void step() {
    if (steps_left.fetch_sub(1) == 0) throw tripped();
}

/// Throws in any of its constructors and in its hash, if its turn has come.
template <std::size_t bytes>
class fragile {
  public:
    explicit fragile(int number) : number_(number) { born(); }
    fragile(const fragile& other) : number_(other.number_) { born(); }
    fragile(fragile&& other) noexcept(false) : number_(other.number_) { born(); }  // NOLINT
    fragile& operator=(const fragile&) = delete;
    fragile& operator=(fragile&&) = delete;
    ~fragile() { alive.fetch_sub(1); }

    [[nodiscard]] int number() const { return number_; }

    template <class H>
    friend H AbslHashValue(H state, const fragile& value) {
        step();
        return H::combine(std::move(state), value.number_);
    }

  private:
    void born() {
        step();
        alive.fetch_add(1);
    }

    int number_;
    std::array<std::byte, bytes> room_{};
};

using small = fragile<8>;
using large = fragile<2000>;

/// Calls `use(runtime)`, which may throw what tripped, once for each step that may throw. All that
/// was made is gone in the end, whatever has thrown, and the books are right.
template <class Use>
void throw_at_each_step(Use&& use) {
    const clean_hwloc_environment clean;
    runtime rt(small_machine());
    const auto works = rt.operation("works", [](int n) { return n + 1; });
    use(rt);  // once without, which declares what it needs
    for (int number = 0;; ++number) {
        INFO("step ", number);
        REQUIRE(number < 10'000);
        bool thrown = false;
        steps_left = number;
        try {
            use(rt);
        } catch (const tripped&) {
            thrown = true;
        }
        const bool over = steps_left >= 0;
        settle_locality(rt);
        steps_left = -1;
        CHECK(alive == 0);
        check_it_works(rt, works);
        if (over) {
            CHECK_FALSE(thrown);
            CHECK(number > 0);
            break;
        }
    }
}

/// Calls of one operation, made by call(operation), while each step throws once.
template <class Callable, class Call>
void call_at_each_step(const operation_traits& traits, Callable callable, Call&& call) {
    std::optional<decltype(std::declval<runtime&>().operation("", traits, callable))> op;
    throw_at_each_step([&](runtime& rt) {
        if (!op) op.emplace(rt.operation("op", traits, callable));
        call(*op);
    });
}

/// The ways in which an operation may treat its tokens.
std::vector<operation_traits> all_traits() {
    std::vector<operation_traits> all(7);
    all[1].weight = weight::light;
    all[2].sticky = sticky::by_arguments();
    all[3].sticky = sticky::by_arguments(sticky::serial);
    all[4].sticky = sticky::by_anchor("anchor", sticky::serial);
    all[5].external_calls = {"other"};
    all[6].run_timeout = 1h;
    return all;
}

}  // namespace

TEST_CASE(
    "whatever_throws_on_the_way_into_or_out_of_a_token_reaches_the_caller_and_nothing_is_left") {
    for (const operation_traits& traits : all_traits()) {
        const auto by_value = [](small a) {
            step();
            return a;
        };
        call_at_each_step(traits, by_value, [](const auto& op) {
            const small argument(1);
            const small result = op(argument).get();
            CHECK(result.number() == 1);
        });
    }
}

TEST_CASE("large_arguments_and_results_that_throw_leave_nothing") {
    for (const operation_traits& traits : all_traits()) {
        const auto by_reference = [](const large& a) {
            step();
            return large(a.number() + 1);
        };
        call_at_each_step(traits, by_reference, [](const auto& op) {
            const auto t = op(large(1));
            const large result = t.get();
            CHECK(result.number() == 2);
        });
    }
}

TEST_CASE("what_throws_in_a_token_that_nobody_holds_leaves_nothing") {
    for (const operation_traits& traits : all_traits()) {
        const auto by_value = [](small a, large b) {
            step();
            return a.number() + b.number();
        };
        call_at_each_step(traits, by_value, [](const auto& op) {
            op.post(small(1), large(1));
            static_cast<void>(op.try_call(small(2), large(2)));
        });
    }
}

TEST_CASE("elements_of_a_bulk_that_throw_fail_alone_and_leave_nothing") {
    for (const operation_traits& traits : all_traits()) {
        const auto by_value = [](small a) {
            step();
            return a;
        };
        call_at_each_step(traits, by_value, [](const auto& op) {
            std::vector<small> all;
            all.reserve(5);
            for (int i = 0; i < 5; ++i) all.emplace_back(i);
            const auto made = op.bulk(std::move(all));
            made.wait();
            int failed = 0;
            for (std::size_t i = 0; i < made.size(); ++i) {
                failed += made.state(i) == token_state::failed ? 1 : 0;
            }
            CHECK(failed <= 1);
            const auto results = made.get();
            CHECK(results.size() == 5);
        });
    }
}

TEST_CASE("callables_with_a_stop_token_that_throw_leave_nothing") {
    for (const operation_traits& traits : all_traits()) {
        const auto stoppable = [](const std::stop_token& stop, small a) {
            step();
            return small(stop.stop_requested() ? 0 : a.number());
        };
        call_at_each_step(traits, stoppable, [](const auto& op) {
            const small result = op(small(3)).get();
            CHECK(result.number() == 3);
        });
    }
}

TEST_CASE("a_callable_that_throws_when_it_is_declared_is_not_declared") {
    struct fragile_callable {
        small inside;
        int operator()(int n) const { return n + inside.number(); }
    };
    const clean_hwloc_environment clean;
    for (int number = 0;; ++number) {
        REQUIRE(number < 100);
        runtime rt(small_machine());
        fragile_callable callable{.inside = small(1)};
        steps_left = number;
        bool thrown = false;
        try {
            static_cast<void>(rt.operation("op", callable));
        } catch (const tripped&) {
            thrown = true;
        }
        const bool over = steps_left >= 0;
        steps_left = -1;
        CHECK(thrown == !over);
        if (over) break;
        // The name is free.
        check_it_works(rt, rt.operation("op", callable));
    }
    CHECK(alive == 0);
}

TEST_CASE("children_that_throw_inside_chains_leave_nothing") {
    std::optional<operation<small(small)>> child;
    std::optional<operation<small(small)>> lead;
    throw_at_each_step([&](runtime& rt) {
        if (!child) {
            child.emplace(rt.operation("child", {.sticky = sticky::by_arguments(sticky::serial)},
                                       [](small a) { return a; }));
            lead.emplace(rt.operation("lead", {.external_calls = {"child"}}, [&](small a) {
                const token<small> first = (*child)(a);
                (*child).post(small(7));
                return small((*child)(small(2)).get().number() + first.get().number());
            }));
        }
        const small result = (*lead)(small(1)).get();
        CHECK(result.number() == 3);
    });
}

}  // namespace tokengate::test
