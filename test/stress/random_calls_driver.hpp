// SPDX-License-Identifier: Apache-2.0
/// @file
/// Random public calls: what a caller does, and pauses, kills, drains and stops in between.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <thread>

#include <tokengate/tokengate.hpp>

#include "random_calls_caller.hpp"

namespace tokengate::test {

/// Takes random steps. After each nothing is paused, drains or has stopped by its own doing.
class driver : public caller {
  public:
    using caller::caller;

    void step() {
        const int n = number();
        try {
            switch (random_.below(8)) {
                case 0:
                case 1:
                case 2: call(any_kind(), n, random_.one_in(4)); break;
                case 3: control(n); break;
                case 4: call_several(n); break;
                default: use_a_handle(); break;
            }
        } catch (const runtime_stopped&) {
            expect(!around_.alone);
        } catch (const operation_drained&) {
            expect(!around_.alone);
        }
    }

    void finish() {
        look_at_all();
        hold_ = {};
    }

  private:
    using op_or_all = std::optional<kind>;

    void call_several(int n) {
        switch (random_.below(6)) {
            case 0:
            case 1: call_and_forget(n); break;
            case 2: call_in_bulk(n); break;
            case 3: run_a_loop(n); break;
            case 4: await_two(); break;
            default: call_hastily(random_.one_in(2) ? kind::fine : kind::lead, n);
        }
    }

    void control(int n) {
        switch (random_.below(16)) {
            case 0:
            case 1:
            case 2: hold_back(some()); break;
            case 3: end(some()); break;
            case 4: hold_one_back(); break;
            case 5: drain_for_a_moment(some()); break;
            case 6:
                if (random_.one_in(4)) drain(some());
                break;
            case 7:
                if (random_.one_in(16)) restart();
                break;
            case 8:
            case 9:
            case 10:
                if (held* one = pick()) kill(*one);
                break;
            case 11:
                hold_ = random_.one_in(2) ? key_hold() : all_.at(kind::keyed).hold(n % 10);
                break;
            case 12: set_storage_limit(storage::slow, 1 + random_.below(3)); break;
            case 13: all_.at(kind::fragile).unblock(); break;
            default: ask();
        }
    }

    /// One operation, or all.
    [[nodiscard]] op_or_all some() {
        if (random_.one_in(4)) return std::nullopt;
        return any_kind();
    }

    [[nodiscard]] static auto of(op_or_all which) {
        return [which](const fate& each) { return !which || each.of == *which; };
    }

    void ask() const {
        const runtime& rt = all_.where();
        static_cast<void>(rt.stats());
        static_cast<void>(rt.open_chains());
        static_cast<void>(rt.history());
        static_cast<void>(rt.running());
        static_cast<void>(all_.at(kind::fragile).health());
        static_cast<void>(all_.at(kind::fine).paused());
        static_cast<void>(stats_of(storage::slow));
    }

    /// A pause, calls that wait, and one of its ends.
    void hold_back(op_or_all which) {
        const bool fresh = around_.alone && random_.one_in(2);
        if (fresh) drain(std::nullopt);
        aside_before_ = which && fresh ? std::optional(aside_of(*which)) : std::nullopt;
        if (which) {
            all_.at(*which).pause();
            expect_alone(all_.at(*which).paused());
        } else {
            all_.where().pause();
        }
        paused_ = which;
        all_paused_ = !which;
        try {
            while_paused(which);
        } catch (const runtime_stopped&) {
            expect(!around_.alone);
        } catch (const operation_drained&) {
            expect(!around_.alone);
        }
        open_again(which);
    }

    void while_paused(op_or_all which) {
        const std::uint64_t calls = 1 + random_.below(5);
        for (std::uint64_t i = 0; i < calls; ++i) {
            call(which.value_or(any_kind()), number(), !around_.roomy || random_.one_in(2));
        }
        if (random_.one_in(4)) {
            if (held* one = pick()) kill(*one);
        }
        switch (random_.below(8)) {
            case 0:
            case 1:
            case 2: end(which); break;
            case 3: miss_a_deadline(which); break;
            case 4:
                if (random_.one_in(2)) drain(which);
                break;
            case 5:
                if (random_.one_in(16)) restart();
                break;
            default: break;
        }
    }

    void open_again(op_or_all which) {
        paused_.reset();
        all_paused_ = false;
        model_.nobody_waits();
        if (which) {
            all_.at(*which).resume();
        } else {
            all_.where().resume();
        }
    }

    [[nodiscard]] std::size_t aside_of(kind which) const {
        return all_.at(which).stats().set_aside;
    }

    /// All that wait for the end of the pause have been put aside. While a worker has one in hand,
    /// that one may still run if the pause ends at once; of a serial key only the first is put
    /// aside.
    [[nodiscard]] bool are_aside(kind which) {
        if (!aside_before_ || which == kind::serial) return false;
        const std::size_t wanted = *aside_before_ + model_.waiting(which).size();
        for (int looks = 0; looks < 200; ++looks) {
            if (aside_of(which) >= wanted) return true;
            std::this_thread::yield();
        }
        return false;
    }

    /// What was called before is killed, or what of it has not begun. Those that others make come
    /// after that.
    void end(op_or_all which) {
        note_all();
        if (!which || paused_ != which || !are_aside(*which)) model_.nobody_waits();
        const std::string_view why = "all of them";
        std::size_t dead = 0;
        if (random_.one_in(2)) {
            dead = which ? all_.at(*which).kill(why) : all_.where().kill(why);
        } else {
            dead = which ? all_.at(*which).cancel(why) : all_.where().cancel(why);
        }
        expect_alone(dead <= model_.kill(of(which)));
    }

    /// A token whose time is over while it cannot begin.
    void miss_a_deadline(op_or_all which) {
        const kind one = which.value_or(kind::nested);
        if (one == kind::fragile || one == kind::metered) return;  // may turn it away
        const std::size_t before = tokens_.size();
        try {
            call_hastily(one, number() % 10);
        } catch (const operation_blocked&) {
            expect(false);
        }
        // Others may let it begin, and not what it waits for: then it ends after the pause.
        if (!around_.alone || tokens_.size() == before) return;
        const held& made = tokens_.back();
        made.handle.wait();
        expect(made.handle.state() == token_state::timed_out);
        made.must->waits = true;
        model_.end(*made.must, timed_out);
    }

    /// A token that is paused does not begin, and goes on or is killed as whoever has paused it
    /// says.
    void hold_one_back() {
        held* const one = pick();
        if (one == nullptr || !one->handle.pause()) return;
        const fate& must = *one->must;
        // What its inputs do, a queue_timeout, and a kill that has found it in a mailbox end it in
        // spite of a pause.
        const bool stays = around_.alone && must.inputs.empty() && (must.may & killed) == 0 &&
                           (must.of == kind::lingers || (must.may & timed_out) == 0);
        if (stays) expect(one->handle.paused() && !one->handle.done());
        switch (random_.below(4)) {
            case 0:
                if (stays) expect(!one->handle.wait_for(std::chrono::microseconds(0)));
                break;
            case 1:
                // A coroutine that waits may have begun.
                one->must->waits = stays && must.of != kind::awaits;
                kill(*one);
                return;
            case 2:
                // Others may open it again before it has come to rest: then the pause goes on.
                if (around_.alone) {
                    drain(must.of);
                } else {
                    drain_for_a_moment(must.of);
                }
                break;
            default: break;
        }
        static_cast<void>(one->handle.resume());
    }

    /// Whatever was called before has ended; nothing comes in until somebody opens again.
    void drain(op_or_all which) {
        model_.nobody_waits();
        if (which) {
            all_.at(*which).drain();
        } else {
            all_.where().drain();
        }
        expect_ended(which);
        expect_closed(which.value_or(any_kind()));
        expect_alone(which || !all_.where().running());
        open_again(which);
    }

    /// A drain that is called off, most of the time.
    void drain_for_a_moment(op_or_all which) {
        const bool over = which ? all_.at(*which).drain_for(std::chrono::nanoseconds(0))
                                : all_.where().drain_for(std::chrono::nanoseconds(0));
        if (over) expect_ended(which);
        expect_closed(which.value_or(any_kind()));
        open_again(which);
    }

    void expect_ended(op_or_all which) {
        for (const held& each : tokens_) {
            if (of(which)(*each.must)) expect_alone(each.handle.done());
        }
        note_all();
        if (!which && around_.alone) model_.all_have_ended();
    }

    void expect_closed(kind which) {
        if (!around_.alone) return;
        try {
            if (const auto made = all_.at(which).try_call(1)) {
                // Equal to one in flight: nothing new comes in.
                expect(which == kind::once && model_.find(made->id()) != nullptr);
                model_.coalesced(which);
                return;
            }
            // The limits of the operation are asked before it is known that the runtime drains.
            expect(which == kind::metered || which == kind::choosy);
            turned_away(which);
            return;
        } catch (const runtime_stopped&) {
            expect(!all_.where().running());
        } catch (const operation_drained&) {
            expect(all_.where().running());
        } catch (const operation_blocked&) {
            expect(which == kind::fragile);
            turned_away(which);
            return;
        }
        not_accepted(which);
    }

    /// A stop, with a deadline that is over or with none, and a start.
    void restart() {
        runtime& rt = all_.where();
        model_.nobody_waits();
        note_all();
        if (random_.one_in(2)) {
            rt.stop();
        } else {
            const stop_report report = rt.stop(std::chrono::microseconds(random_.below(2) * 20));
            // That of another one, if others stop it too.
            if (!report.drained) model_.stop_at_deadline();
            expect_alone(!report.drained || report.killed == 0);
        }
        expect_alone(!rt.running());
        expect_ended(std::nullopt);
        expect_closed(any_kind());
        for (;;) {
            try {
                rt.start();
                break;
            } catch (const error&) {
                // A callable of before still runs, or somebody else has been faster.
                if (rt.running()) break;
                rt.stop();
            }
        }
        expect_alone(rt.running());
    }

    key_hold hold_;
    std::optional<std::size_t> aside_before_;  ///< of what is paused; if nothing was in flight then
};

}  // namespace tokengate::test
