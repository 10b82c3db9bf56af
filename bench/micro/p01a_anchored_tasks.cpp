// SPDX-License-Identifier: Apache-2.0
// P1a: what a sticky key adds to the price of a task: P1 again, with free tokens next to anchored
// ones.
#include <cstddef>

#include <tokengate/tokengate.hpp>

#include "support/counted.hpp"
#include "support/tally.hpp"
#include "support/work.hpp"
#include "support/workers.hpp"

namespace tokengate::bench {
namespace {

class tokens : public with_runtime<counted> {
  public:
    using with_runtime::with_runtime;

  protected:
    [[nodiscard]] std::uint64_t expected_tokens() const override { return runs(); }
};

// Like the sticky ones, it takes a number: the difference is the key alone.
template <weight Weight>
class free_tokens : public tokens {
  public:
    using tokens::tokens;

    void run() override {
        start();
        for (std::uint64_t i = 0; i < runs(); ++i) empty_.post(i);
        host().wait_idle();
    }

  private:
    operation<void(std::uint64_t)> empty_ =
        host().operation("empty", {.weight = Weight}, [](std::uint64_t) { tally::count(); });
};

template <weight Weight>
class sticky_tokens : public tokens {
  public:
    // As many keys as the table has places; two of three share one with another then.
    static constexpr std::uint64_t full_table = 0;

    sticky_tokens(const setting& given, std::uint64_t keys)
        : tokens(given), keys_(keys != full_table ? keys : host().settings().sticky_slots) {}

    void run() override {
        start();
        std::uint64_t key = 0;
        for (std::uint64_t i = 0; i < runs(); ++i) {
            empty_.post(key);
            if (++key == keys_) key = 0;
        }
        host().wait_idle();
    }

  private:
    std::uint64_t keys_;
    operation<void(std::uint64_t)> empty_ =
        host().operation("empty", {.weight = Weight, .sticky = sticky::by_arguments()},
                         [](std::uint64_t) { tally::count(); });
};

template <weight Weight, std::uint64_t Keys>
class keyed : public sticky_tokens<Weight> {
  public:
    explicit keyed(const setting& given) : sticky_tokens<Weight>(given, Keys) {}
};

using medium_free = free_tokens<weight::medium>;
using medium_one = keyed<weight::medium, 1>;
using medium_64 = keyed<weight::medium, 64>;
using medium_all = keyed<weight::medium, medium_one::full_table>;
using heavy_free = free_tokens<weight::heavy>;
using heavy_one = keyed<weight::heavy, 1>;
using heavy_64 = keyed<weight::heavy, 64>;
using heavy_all = keyed<weight::heavy, heavy_one::full_table>;

// A free token may be stolen, so that two workers of two share even medium ones. All tokens of one
// key run on one.
const registration anchored_tasks{{
    .id = "P1a",
    .title = "one thread submits empty tasks with sticky keys, waits for all",
    .tasks = 1'000'000,
    .quick_tasks = 50'000,
    .contenders = {enter<medium_free>("medium", family::tokengate),
                   enter<medium_one>("medium, 1 key", family::tokengate),
                   enter<medium_64>("medium, 64 keys", family::tokengate),
                   enter<medium_all>("medium, all keys", family::tokengate),
                   enter<heavy_free>("heavy", family::tokengate),
                   enter<heavy_one>("heavy, 1 key", family::tokengate),
                   enter<heavy_64>("heavy, 64 keys", family::tokengate),
                   enter<heavy_all>("heavy, all keys", family::tokengate)},
    .goals = {{.of = "medium, 1 key", .against = {"medium"}, .limit = 1.15},
              {.of = "medium, 64 keys", .against = {"medium"}, .limit = 1.15},
              {.of = "medium, all keys", .against = {"medium"}, .limit = 1.15},
              {.of = "heavy, 1 key", .against = {"heavy"}, .limit = 1.15},
              {.of = "heavy, 64 keys", .against = {"heavy"}, .limit = 1.15},
              {.of = "heavy, all keys", .against = {"heavy"}, .limit = 1.15}},
}};

}  // namespace
}  // namespace tokengate::bench
