// SPDX-License-Identifier: Apache-2.0
#include "soak_control.hpp"

#include <chrono>
#include <thread>

namespace tokengate::app {
namespace {

using namespace std::chrono_literals;

class meddler {
  public:
    meddler(runtime& rt, soak_field& field, std::uint64_t seed, soak_interference& done)
        : rt_(rt), field_(field), random_(seed), done_(done) {}

    void act() {
        const soak_operation& op = field_.operation(random_.below(field_.size()));
        switch (random_.below(16)) {
            case 0:
            case 1:
            case 2:
                ++done_.pauses;
                op.pause();
                break;
            case 3:
            case 4:
            case 5:
                ++done_.resumes;
                op.resume();
                break;
            case 6:
            case 7: resume_all(); break;
            case 8:
                if (!random_.one_in(4)) break;
                ++done_.pauses;
                rt_.pause();
                break;
            case 9:
            case 10:
                ++done_.cancels;
                done_.cancelled += op.cancel("of this operation");
                break;
            case 11:
                ++done_.kills;
                done_.killed += op.kill("of this operation");
                break;
            case 12: end_all(); break;
            case 13:
                ++done_.limit_changes;
                set_storage_limit(random_.one_of(all_storage), 1 + random_.below(12));
                break;
            case 14:
                if (random_.one_in(8)) stop();
                break;
            default: look(); break;
        }
    }

    void leave() {
        rt_.resume();
        for (const storage each : all_storage) set_storage_limit(each, most_at_once(each));
    }

  private:
    void resume_all() {
        ++done_.resumes;
        rt_.resume();
    }

    void end_all() {
        if (!random_.one_in(4)) return;
        if (random_.one_in(2)) {
            ++done_.cancels;
            done_.cancelled += rt_.cancel("all of them");
        } else {
            ++done_.kills;
            done_.killed += rt_.kill("all of them");
        }
    }

    void stop() {
        ++done_.stops;
        if (random_.one_in(4)) {
            rt_.stop();
        } else {
            field_.expect_deadlines();
            done_.stop_kills += rt_.stop(std::chrono::microseconds(random_.below(20'000))).killed;
        }
        while (true) {
            try {
                rt_.start();
                return;
            } catch (const error&) {
                if (rt_.running()) throw;
                // A callable of before still runs; the stop is complete when it has returned.
                ++done_.late_starts;
                rt_.stop();
            }
        }
    }

    /// Whoever looks must not disturb.
    void look() const {
        static_cast<void>(rt_.stats());
        static_cast<void>(rt_.open_chains());
        for (const storage each : all_storage) static_cast<void>(stats_of(each));
    }

    runtime& rt_;
    soak_field& field_;
    soak_random random_;
    soak_interference& done_;
};

}  // namespace

void interfere(runtime& rt, soak_field& field, std::uint64_t seed, const std::atomic<bool>& over,
               soak_interference& done) {
    meddler all(rt, field, seed, done);
    soak_random pace(~seed);
    // Relaxed: nothing is published by it.
    while (!over.load(std::memory_order_relaxed)) {
        all.act();
        std::this_thread::sleep_for(std::chrono::microseconds(pace.below(4'000)));
    }
    all.leave();
}

}  // namespace tokengate::app
