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

/// Throws in any of its constructors, in its hash and when it is compared, if its turn has come.
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
    friend bool operator==(const fragile& a, const fragile& b) {
        step();
        return a.number_ == b.number_;
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

}  // namespace
}  // namespace tokengate::test

template <std::size_t bytes>
inline constexpr bool tokengate::copied_for_retry<tokengate::test::fragile<bytes>> = true;

namespace tokengate::test {
namespace {

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
        } catch (const dependency_failed&) {
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
            figure("steps that threw", static_cast<std::uint64_t>(number));
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
    std::vector<operation_traits> all(15);
    all[1].weight = weight::light;
    all[2].sticky = sticky::by_arguments();
    all[3].sticky = sticky::by_arguments(sticky::serial);
    all[4].sticky = sticky::by_anchor("anchor", sticky::serial);
    all[5].external_calls = {"other"};
    all[6].run_timeout = 1h;
    all[7].queue_timeout = 1h;
    all[8].retry = {.attempts = 2};
    all[9].retry = {.attempts = 2, .initial_delay = 10us};
    all[10].duplicates = duplicates::coalesce;
    all[11].storage = storage::slow;
    all[12].in_flight.tokens = 5;
    all[13].spikes.factor = 1000;
    all[14].health = {.block = true, .attempts = 1000};
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

TEST_CASE("results_that_throw_on_their_way_to_another_token_leave_nothing") {
    for (const operation_traits& traits : all_traits()) {
        std::optional<operation<small(small)>> first;
        std::optional<operation<large(const small&, large)>> second;
        throw_at_each_step([&](runtime& rt) {
            if (!first) {
                first.emplace(rt.operation("first", traits, [](small a) {
                    step();
                    return a;
                }));
                second.emplace(rt.operation("second", traits, [](const small& a, large b) {
                    step();
                    return large(a.number() + b.number());
                }));
            }
            const auto shared = (*first)(small(1));
            const auto sum = (*second)(shared, large(2));
            const large result = (*second)(shared, sum).get();
            CHECK(result.number() == 4);
        });
    }
}

TEST_CASE("coroutines_that_throw_leave_nothing") {
    std::optional<operation<small(small)>> inner;
    std::optional<operation<small(small)>> outer;
    throw_at_each_step([&](runtime& rt) {
        if (!inner) {
            inner.emplace(rt.operation("inner", [](small a) { return a; }));
            outer.emplace(
                rt.operation("outer", {.external_calls = {"inner"}}, [&](small a) -> task<small> {
                    step();
                    const small b = co_await (*inner)(a);
                    co_return small(b.number() + a.number());
                }));
        }
        const int result = sync_wait([](const operation<small(small)>& op) -> task<int> {
            const token<small> kept = op(small(3));
            const small one = co_await op(small(1));
            const small& three = co_await kept;
            co_return one.number() + three.number();
        }(*outer));
        CHECK(result == 8);
    });
}

TEST_CASE("bodies_of_loops_that_throw_leave_nothing") {
    throw_at_each_step([](runtime& rt) {
        parallel_for(rt, 10, 3, [](int) { step(); });
        const std::vector<int> values{1, 2, 3, 4, 5};
        const auto value_of = [](int each) {
            step();
            return each;
        };
        const auto add = [](int a, int b) {
            step();
            return a + b;
        };
        const int sum = parallel_reduce(rt, values, 2, 0, value_of, add);
        CHECK(sum == 15);
    });
}

TEST_CASE("predicates_that_throw_end_the_retries_of_their_token_and_nothing_else") {
    const clean_hwloc_environment clean;
    runtime rt(small_machine());
    const auto works = rt.operation("works", [](int n) { return n + 1; });
    const retry_policy unsure{.attempts = 4,
                              .when = [](const std::exception_ptr&) -> bool { throw tripped(); }};
    const auto op = rt.operation("op", {.retry = unsure}, [](int n) {
        if (n < 0) throw n;
        return n;
    });
    for (int i = 0; i < 20; ++i) {
        const token<int> t = op(-1 - i);
        REQUIRE(ends(t));
        CHECK(t.attempts() == 1);
        CHECK_THROWS_AS(demand(t), int);
        check_it_works(rt, works);
    }
    figure("predicates that threw", 20);
}

}  // namespace tokengate::test
