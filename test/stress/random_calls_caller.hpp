// SPDX-License-Identifier: Apache-2.0
/// @file
/// Makes calls, asks their tokens, and keeps the model.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "ledger.hpp"
#include "random.hpp"
#include "random_calls_chores.hpp"
#include "random_calls_model.hpp"

namespace tokengate::test {

/// Who else is there, and what may be asked for.
struct circumstances {
    bool alone = true;  ///< nobody else calls, pauses, kills or stops
    bool roomy = true;  ///< no limit of the runtime holds up calls of what is paused
    int number = 0;     ///< of the driver
};

/// Calls and handles; what it expects holds while nothing is paused, or drains, by itself.
class caller {
  public:
    caller(chores& all, seeded& random, const circumstances& around)
        : all_(all), random_(random), around_(around), model_(around.alone) {}

    [[nodiscard]] const book_model& model() const { return model_; }
    /// Where the first answer came that was wrong; empty: there was none.
    [[nodiscard]] const std::string& wrong_at() const { return wrong_at_; }

  protected:
    /// One token that the driver holds. Handles of the same token know the same.
    struct held {
        token<int> handle;
        fate* must;
    };

    // clang 14 has no std::source_location.
    void expect(bool what, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
        if (what || !wrong_at_.empty()) return;
        wrong_at_ = std::string(file) + ":" + std::to_string(line);
    }
    /// What holds unless others interfere.
    void expect_alone(bool what, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
        expect(what || !around_.alone, file, line);
    }

    [[nodiscard]] int number() { return static_cast<int>(random_.below(1000)); }
    [[nodiscard]] kind any_kind() { return static_cast<kind>(random_.below(kinds - 1)); }
    [[nodiscard]] held* pick() {
        return tokens_.empty() ? nullptr : &tokens_[random_.below(tokens_.size())];
    }

    /// A call that makes a token to hold, or is turned away.
    void call(kind which, int n, bool tries) {
        if (which == kind::keyed) n %= 10;
        if (which == kind::once) n = around_.number * 3 + n % 3;
        const bool full = around_.alone && is_full(which);
        try {
            std::optional<token<int>> made =
                tries ? all_.at(which).try_call(n) : std::optional(all_.at(which)(n));
            if (!made) return turned_away(which);
            expect(!full);
            accept(which, n, *std::move(made), completed);
        } catch (const call_refused&) {
            expect(!tries);
            turned_away(which);
            switch (which) {
                case kind::choosy:
                case kind::latest: break;
                case kind::metered: expect_alone(all_.metered_is_used_up()); break;
                default: expect(false);
            }
        } catch (const operation_blocked&) {
            expect(which == kind::fragile);
            turned_away(which);
        }
    }

    /// Nothing was accepted; but a place may have been made for it before something else stood in
    /// its way.
    void not_accepted(kind which) {
        if (which == kind::latest) model_.may_be_dropped();
    }

    void turned_away(kind which) {
        model_.refused(which);
        not_accepted(which);
    }

    /// A call with a time limit that may be over at once.
    void call_hastily(kind which, int n) {
        const auto hasty = all_.at(which).with({.queue_timeout = std::chrono::microseconds(1)});
        if (auto made = hasty.try_call(n)) {
            accept(which, n, *std::move(made), completed | timed_out);
        } else {
            turned_away(which);
        }
    }

    /// A token that gets the results of others, or comes after them, if they have one.
    void go_on_with(const held& one) {
        fate next{.of = kind::plus_one, .value = one.must->value + 1, .inputs = {one.must}};
        if (random_.one_in(2)) {
            keep(one.handle.then(all_.at(kind::plus_one)), std::move(next));
            return;
        }
        const held& other = *pick();
        const int n = number();
        next.value = n + 1;
        next.inputs.push_back(other.must);
        keep(all_.where().after(one.handle, other.handle).call(all_.at(kind::plus_one), n),
             std::move(next));
    }

    /// Calls whose tokens nobody holds.
    void call_and_forget(int n) {
        if (random_.one_in(2)) {
            all_.at(kind::fine)(n);
        } else {
            all_.at(kind::fine).post(n);
        }
        model_.add({.of = kind::fine});
    }

    void call_in_bulk(int n) {
        const std::vector<int> each(static_cast<std::size_t>(1 + n % 5), n);
        bulk<int> made;
        try {
            made = all_.at(kind::fine).bulk(each);
        } catch (const error&) {
            // A part may have been let in.
            for (std::size_t i = 0; i < each.size(); ++i) {
                model_.add({.of = kind::fine, .may = completed | never});
            }
            throw;
        }
        const bool kills = random_.one_in(3);
        if (kills) made.kill("of a bulk");
        made.join();
        bool whole = true;
        for (std::size_t i = 0; i < each.size(); ++i) {
            fate& one = model_.add({.of = kind::fine});
            if (kills) one.may |= killed;
            expect(model_.learn(one, way_of(made.state(i))));
            whole = whole && one.may == completed;
        }
        if (!whole) return;
        try {
            expect(made.get() == each);
        } catch (const token_killed&) {
            expect_alone(kills);  // when all of them had just ended
        }
    }

    void run_a_loop(int n) {
        const int few = 1 + n % 5;
        const std::size_t blocks = block_count(few, 2);
        try {
            if (random_.one_in(2)) {
                std::atomic<int> seen{0};
                parallel_for(all_.where(), few, 2, [&](int) { ++seen; });
                expect(seen == few);
            } else {
                expect(parallel_reduce(
                           all_.where(), few, 2, 0, [](int i) { return i + 1; }, std::plus<>()) ==
                       few * (few + 1) / 2);
            }
            for (std::size_t i = 0; i < blocks; ++i) {
                expect(model_.learn(model_.add({.of = kind::loops}), completed));
            }
        } catch (const error&) {
            expect(!around_.alone);
            for (std::size_t i = 0; i < blocks; ++i) {
                model_.add({.of = kind::loops, .may = completed | failed | never});
            }
        }
    }

    /// Coroutines that wait for two tokens.
    void await_two() {
        if (tokens_.empty()) return;
        const held a = *pick();
        const held b = *pick();
        if (random_.one_in(2)) {
            const std::vector<token<int>> both{a.handle, b.handle};
            expect(both[sync_wait(when_any(both))].done());
            return;
        }
        try {
            const auto [x, y] = sync_wait(gather(a.handle, b.handle));
            expect(model_.learn(*a.must, completed) && model_.learn(*b.must, completed));
            expect(x == a.must->value && y == b.must->value);
        } catch (...) {
            expect(((a.must->may | b.must->may) & ~completed) != 0);
        }
    }

    void use_a_handle() {
        held* const one = pick();
        if (one == nullptr) return;
        switch (random_.below(7)) {
            case 0: one->handle.wait(); break;
            case 1: look(*one); break;
            case 2: static_cast<void>(one->handle.wait_for(std::chrono::microseconds(0))); break;
            case 3: tokens_.push_back(held(*one)); break;  // another handle
            case 4: one->handle.join(); break;
            case 5: go_on_with(*one); break;
            default:
                std::swap(*one, tokens_.back());
                note(tokens_.back());
                if (random_.one_in(2)) consume(tokens_.back());
                tokens_.pop_back();
        }
    }

    /// Whoever is told to have killed a token has done so, and nobody else. What waits is killed by
    /// whoever comes first.
    void kill(held& one) {
        fate& must = *one.must;
        const bool waited = must.waits;
        if (one.handle.kill(random_.one_in(2) ? "this one" : "")) {
            // What a cancel has found in a mailbox dies when a worker comes to it, or so.
            expect(!must.known || must.may == killed);
            model_.end(must, killed);
            model_.sharpen_all();
            expect(one.handle.state() == token_state::killed);
        } else {
            // It has ended, or somebody else ends it at this moment.
            expect_alone(ends(one.handle) && (!waited || (must.may & killed) != 0));
            note(one);
        }
    }

    /// How a token has ended, if it has.
    void note(const held& one) {
        const ways how = way_of(one.handle.state());
        if (how != 0) expect(model_.learn(*one.must, how));
    }

    void note_all() {
        for (const held& each : tokens_) note(each);
    }

    void look(const held& one) {
        judge(one, [&] { return one.handle.get(); });
    }

    void consume(held& one) {
        one.handle.wait();
        note(one);
        judge(one, [&] { return std::move(one.handle).get(); });
    }

    void look_at_all() {
        for (const held& each : tokens_) {
            look(each);
            note(each);
            each.handle.join();
        }
    }

    chores& all_;
    seeded& random_;
    const circumstances around_;
    book_model model_;
    std::vector<held> tokens_;
    bool all_paused_ = false;
    std::optional<kind> paused_;

  private:
    /// A call is turned away, whatever has ended in the meantime.
    [[nodiscard]] bool is_full(kind which) {
        if (which == kind::metered) return all_.metered_is_used_up();
        return which == kind::choosy && model_.waiting(which).size() >= chores::limited_to;
    }

    void accept(kind which, int n, token<int> made, ways may) {
        const bool in_time = (may & timed_out) == 0;
        if (which == kind::once && in_time) {
            if (fate* const same = model_.find(made.id())) {
                expect(same->of == which && same->value == n);
                model_.coalesced(which);
                tokens_.push_back({std::move(made), same});
                return;
            }
            for (const fate* each : model_.waiting(which)) expect(each->value != n);
        }
        if (which == kind::latest) model_.drop_oldest(chores::limited_to);
        if (which == kind::metered) expect(all_.use_metered());
        fate must = planned(which, n);
        must.may |= may & timed_out;
        const bool surely = in_time && which != kind::impatient;
        must.waits = around_.alone && surely && (all_paused_ || paused_ == which);
        keep(std::move(made), std::move(must));
    }

    /// What becomes of a token that nobody disturbs.
    fate planned(kind which, int n) {
        fate must{.of = which, .value = n};
        const auto makes = [&](kind of, ways may) {
            must.children.push_back(&model_.add({.of = of, .may = may}));
        };
        switch (which) {
            case kind::throws: must.may = failed; break;
            case kind::lingers: must.may = timed_out; break;
            case kind::impatient: must.may = completed | timed_out; break;
            case kind::fragile: must.may = n % 2 == 0 ? completed : failed; break;
            case kind::plus_one: must.value = n + 1; break;
            case kind::nested:
                must.value = n + 1;
                makes(kind::fine, completed);
                break;
            case kind::lead:
                must.value = 2 * n;
                makes(kind::fine, completed);
                makes(kind::keyed, completed);
                break;
            case kind::awaits: makes(kind::fine, completed); break;
            case kind::fails_below:
                must.may = failed;
                makes(kind::throws, failed);
                break;
            case kind::drops:
                makes(kind::fine, completed);
                makes(kind::throws, failed);
                break;
            default: break;
        }
        must.needs_children = !must.children.empty() && which != kind::drops;
        return must;
    }

    void keep(token<int> made, fate must) {
        must.id = made.id();
        fate& kept = model_.add(std::move(must));
        tokens_.push_back({std::move(made), &kept});
    }

    /// The value is the right one, or what is thrown is what belongs to how the token has ended.
    template <class Ask>
    void judge(const held& one, Ask&& ask) {
        const fate& must = *one.must;
        one.handle.wait();
        const ways how = way_of(one.handle.state());
        const bool relies = !must.inputs.empty() || must.needs_children;
        expect(model_.learn(*one.must, how));
        try {
            const int value = ask();
            expect(how == completed && value == must.value);
        } catch (const token_killed&) {
            expect(how == killed || (how == failed && must.needs_children));
        } catch (const token_timed_out&) {
            expect(how == timed_out);
        } catch (const dependency_failed&) {
            expect(how == failed && relies);
        } catch (int) {
            expect(how == failed);
        } catch (const std::runtime_error&) {
            expect(how == failed);
        }
    }

    std::string wrong_at_;
};

}  // namespace tokengate::test
