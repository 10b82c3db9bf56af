// SPDX-License-Identifier: Apache-2.0
// Schedulers whose work is tokens: what holds with stdexec, and with the stand-in for it.
#include <chrono>
#include <cstddef>
#include <deque>
#include <thread>

#include <doctest/doctest.h>

#include <tokengate/senders.hpp>
#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"
#include "receivers.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

using scheduling = run_of<void, scheduler::sender>;

static_assert(stdexec::sender<scheduler::sender>);
static_assert(stdexec::sender_to<scheduler::sender, recorder<void>>);
static_assert(stdexec::scheduler<scheduler>);

}  // namespace

TEST_CASE("what_is_scheduled_goes_on_on_workers_in_the_range_of_its_class") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        for (const weight each : all_weights) {
            std::deque<scheduling> all;
            for (int i = 0; i < 50; ++i) {
                all.emplace_back(get_scheduler(rt, each).schedule());
                all.back().start();
            }
            for (const scheduling& run : all) {
                CHECK(run.seen.ends_by(run.seen.values));
                CHECK(run.seen.where != std::this_thread::get_id());
                // Below that, idle workers may take any free token.
                if (shape.cores >= 4) CHECK(run.seen.domain >= index_of(each));
            }
        }
        settle_locality(rt);
        CHECK(rt.stats().total().completed == 150);
    });
}

TEST_CASE("schedulers_are_equal_if_their_operation_is") {
    runtime rt({.cores = 2});
    runtime other({.cores = 2});
    const scheduler medium = get_scheduler(rt);
    const scheduler disk(rt.operation("disk", {.storage = storage::slow}, for_scheduler()));
    CHECK(medium == get_scheduler(rt, weight::medium));
    CHECK(medium != get_scheduler(rt, weight::heavy));
    CHECK(medium != get_scheduler(other));
    CHECK(disk != medium);
    CHECK(disk == scheduler(disk));
    CHECK(stdexec::get_completion_scheduler<stdexec::set_value_t>(
              stdexec::get_env(stdexec::schedule(disk))) == disk);
    CHECK(stdexec::get_forward_progress_guarantee(medium) ==
          stdexec::forward_progress_guarantee::parallel);
    scheduling run(disk.schedule());
    run.start();
    CHECK(run.seen.ends_by(run.seen.values));
    settle_locality(rt);
}

TEST_CASE("what_is_scheduled_stops_if_that_was_asked_for_before_it_began") {
    runtime rt({.cores = 2});
    const auto work = rt.operation("work", for_scheduler());
    const scheduler where(work);
    stdexec::inplace_stop_source early;
    early.request_stop();
    scheduling never(where.schedule(), early.get_token());
    never.start();
    CHECK(never.seen.stops == 1);
    CHECK(work.stats().counts.accepted == 0);
    work.pause();
    stdexec::inplace_stop_source source;
    scheduling waits(where.schedule(), source.get_token());
    waits.start();
    source.request_stop();
    work.resume();
    CHECK(waits.seen.ends_by(waits.seen.stops));
    settle_locality(rt);
}

TEST_CASE("what_is_scheduled_stops_if_its_token_is_killed_before_it_began") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        const auto work = rt.operation("work", for_scheduler());
        const scheduler where(work);
        work.pause();
        std::deque<scheduling> all;
        for (int i = 0; i < 20; ++i) {
            all.emplace_back(where.schedule());
            all.back().start();
        }
        REQUIRE(eventually([&] { return work.stats().set_aside == 20; }));
        CHECK(work.cancel("not today") == 20);
        work.resume();
        for (const scheduling& run : all) CHECK(run.seen.ends_by(run.seen.stops));
        settle_locality(rt);
        CHECK(work.stats().executions == 0);
    });
}

TEST_CASE("what_cannot_be_scheduled_says_why_and_what_gives_way_stops") {
    runtime rt({.cores = 2});
    const auto picky = rt.operation(
        "picky", {.in_flight = {.tokens = 1, .policy = when_full::refuse}}, for_scheduler());
    const auto newest = rt.operation(
        "newest", {.in_flight = {.tokens = 1, .policy = when_full::drop_oldest}}, for_scheduler());
    picky.pause();
    scheduling fits(scheduler(picky).schedule());
    scheduling refused(scheduler(picky).schedule());
    fits.start();
    refused.start();
    CHECK(refused.seen.completions() == 1);
    CHECK(holds<call_refused>(refused.seen.error));
    picky.resume();
    CHECK(fits.seen.ends_by(fits.seen.values));
    // The call of the second one drops the first one on this thread.
    newest.pause();
    scheduling oldest(scheduler(newest).schedule());
    scheduling second(scheduler(newest).schedule());
    oldest.start();
    second.start();
    newest.resume();
    CHECK(oldest.seen.ends_by(oldest.seen.stops));
    CHECK(second.seen.ends_by(second.seen.values));
    settle_locality(rt);
    const scheduler where = get_scheduler(rt);
    static_cast<void>(rt.stop());
    scheduling late(where.schedule());
    late.start();
    CHECK(late.seen.completions() == 1);
    CHECK(holds<runtime_stopped>(late.seen.error));
}

TEST_CASE("nothing_is_forgotten_when_the_runtime_is_stopped_meanwhile") {
    for (std::size_t round = 0; round < scaled(50); ++round) {
        runtime rt({.cores = 2});
        const scheduler where = get_scheduler(rt);
        std::deque<scheduling> all;
        for (int i = 0; i < 100; ++i) all.emplace_back(where.schedule());
        std::thread stopping([&] { static_cast<void>(rt.stop(0ns)); });
        for (scheduling& run : all) run.start();
        stopping.join();
        // What was killed while it ran may be about to return.
        int forgotten = 0;
        for (const scheduling& run : all) {
            if (!eventually([&] { return run.seen.completions() != 0; })) ++forgotten;
        }
        static_cast<void>(rt.stop());
        int twice = 0;
        for (const scheduling& run : all) twice += run.seen.completions() - 1;
        CHECK(forgotten == 0);
        CHECK(twice == 0);
        check_ledger(rt);
    }
}

}  // namespace tokengate::test
