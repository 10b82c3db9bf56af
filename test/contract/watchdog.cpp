// SPDX-License-Identifier: Apache-2.0
// slow_after: callables that run for too long are reported while they do.
#include <pthread.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "alerts.hpp"
#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

constexpr auto long_time = 1h;

std::string name_of_this_thread() {
    std::array<char, 16> name{};
    pthread_getname_np(pthread_self(), name.data(), name.size());
    return name.data();
}

}  // namespace

TEST_CASE("a_slow_callable_is_reported_with_its_token_and_thread_and_goes_on") {
    for (const int cores : {1, 2, 4}) {
        for (const int workers : {1, 2}) {
            hold gate;
            listener heard;
            runtime rt({.cores = cores, .workers_per_core = workers});
            rt.on_alert(heard.hook());
            std::string thread;
            std::int64_t number = 0;
            unsigned domain = 0;
            const auto op = rt.operation("op", {.slow_after = 1ms}, [&] {
                thread = name_of_this_thread();
                number = gettid();
                domain = here();
                gate.pass();
                return 7;
            });
            const token<int> t = op();
            REQUIRE(heard.await(alert_kind::slow, 1));
            CHECK(t.state() == token_state::executing);
            gate.release();
            CHECK(result_of(t) == 7);
            settle(rt);
            REQUIRE(heard.all().size() == 1);
            const alert what = heard.all().front();
            CHECK(what.kind == alert_kind::slow);
            CHECK(what.operation == "op");
            CHECK(what.token == t.id());
            CHECK(what.domain == domain);
            CHECK(what.worker == thread);
            CHECK(what.thread == number);
            CHECK(what.unit == "ns");
            CHECK(what.limit == 1e6);
            CHECK(what.measured >= what.limit);
            CHECK(what.text.find("'op'") != std::string::npos);
            CHECK(what.text.find(std::to_string(t.id())) != std::string::npos);
            CHECK(what.text.find(thread) != std::string::npos);
        }
    }
}

TEST_CASE("each_attempt_is_reported_once") {
    listener heard;
    runtime rt({.cores = 2});
    rt.on_alert(heard.hook());
    std::atomic<std::size_t> attempts{0};
    const auto op = rt.operation("op", {.retry = {.attempts = 3}, .slow_after = 1ms}, [&] {
        const std::size_t number = ++attempts;
        CHECK(heard.await(alert_kind::slow, number));
        if (number < 3) throw std::runtime_error("again");
    });
    const token<void> t = op();
    t.get();
    settle(rt);
    CHECK(heard.count(alert_kind::slow) == 3);
    for (const alert& each : heard.all()) CHECK(each.token == t.id());
}

TEST_CASE("a_callable_that_returns_in_time_is_not_reported") {
    listener heard;
    runtime rt({.cores = 2});
    rt.on_alert(heard.hook());
    const auto op = rt.operation("op", {.slow_after = long_time}, [](int n) { return n; });
    for (int i = 0; i < 200; ++i) CHECK(op(i).get() == i);
    CHECK(op.bulk(std::vector<int>{1, 2, 3}).get() == std::vector<int>{1, 2, 3});
    settle(rt);
    CHECK(heard.all().empty());
}

TEST_CASE("a_hook_that_throws_or_replaces_itself_does_no_harm") {
    listener heard;
    std::atomic<int> thrown{0};
    runtime rt({.cores = 1});
    rt.on_alert([&](const alert&) {
        rt.on_alert(heard.hook());
        ++thrown;
        throw std::runtime_error("on purpose");
    });
    std::atomic<bool> go_on{false};
    const auto op = rt.operation("op", {.slow_after = 1ms}, [&](int round) {
        if (round == 0) CHECK(eventually([&] { return thrown == 1; }));
        if (round == 1) CHECK(heard.await(alert_kind::slow, 1));
        if (round == 2) CHECK(eventually([&] { return go_on.load(); }));
    });
    op(0).get();
    op(1).get();
    CHECK(heard.all().size() == 1);
    // Nobody listens any more.
    rt.on_alert({});
    const token<void> last = op(2);
    go_on = true;
    last.get();
    settle(rt);
    CHECK(heard.all().size() == 1);
    CHECK(thrown == 1);
}

TEST_CASE("a_hook_may_ask_for_everything_and_kill_what_is_slow") {
    hold gate;
    std::atomic<int> asked{0};
    runtime rt({.cores = 2, .history = 10});
    const auto inner = rt.operation("inner", [] {});
    std::vector<token<void>> made;
    auto op = rt.operation("op", {.slow_after = 1ms}, [&] { gate.pass(); });
    rt.on_alert([&](const alert&) {
        static_cast<void>(rt.stats());
        static_cast<void>(rt.history());
        static_cast<void>(op.health());
        inner.post();
        op.kill("too slow");
        ++asked;
    });
    const token<void> t = op();
    REQUIRE(ends(t));
    CHECK_THROWS_AS(t.get(), token_killed);
    REQUIRE(eventually([&] { return asked == 1; }));
    gate.release();
    t.join();
    settle(rt);
    CHECK(inner.stats().counts.completed == 1);
}

TEST_CASE("a_slow_after_below_zero_is_refused") {
    runtime rt({.cores = 1});
    try {
        static_cast<void>(rt.operation("op", {.slow_after = -5ns}, [] {}));
        CHECK(false);
    } catch (const operation_error& why) {
        CHECK(std::string(why.what()).find("slow_after is -5 ns") != std::string::npos);
    }
    const auto longest =
        rt.operation("longest", {.slow_after = std::chrono::nanoseconds::max()}, [] { return 1; });
    CHECK(longest().get() == 1);
}

}  // namespace tokengate::test
