// SPDX-License-Identifier: Apache-2.0
// P13: what it brings that the children of a task stay with its data while all threads are busy.
#include <tbb/task_group.h>

#include <algorithm>
#include <span>
#include <tuple>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "support/onetbb.hpp"
#include "support/work.hpp"
#include "support/workers.hpp"

namespace tokengate::bench {
namespace {

constexpr std::uint64_t steps = 16;
constexpr std::uint64_t children_each = 128;  // of a lead in one step
constexpr std::size_t words_a_child = 256;    // 2 KiB, some 100 ns: what a task costs counts, too
constexpr std::size_t words_a_lead = children_each * words_a_child;  // 256 KiB

using words = std::span<std::uint64_t>;

// Not inlined: the same machine code for all.
[[gnu::noinline]] void fill(words all, std::uint64_t lead) noexcept {
    std::uint64_t next = lead << 32;
    for (std::uint64_t& word : all) word = next++ * 0x9E3779B9U;
}

[[gnu::noinline]] void evolve(words part, std::uint64_t step) noexcept {
    for (std::uint64_t& word : part) word += (word >> 5) ^ step;
}

[[nodiscard]] std::uint64_t digest_of(std::span<const std::uint64_t> all) noexcept {
    std::uint64_t digest = 0;
    for (const std::uint64_t word : all) digest = digest * 31 + word;
    return digest;
}

// Each lead fills data of its own and takes it through some steps. In each step every child evolves
// a part, and the next step begins when all have. The figures are per child.
class leads_in_steps : public contender {
  public:
    explicit leads_in_steps(const setting& given)
        : leads_(given.tasks / (steps * children_each)), data_(leads_ * words_a_lead) {}

    void verify() override {
        const std::vector<std::uint64_t>& expected = serial_digests(leads_);
        for (std::uint64_t lead = 0; lead < leads_; ++lead) {
            if (digest_of(data_of(lead)) == expected[lead]) continue;
            throw wrong_result("lead " + std::to_string(lead) + " has a wrong digest");
        }
        std::ranges::fill(data_, 0);
    }

  protected:
    [[nodiscard]] std::uint64_t leads() const noexcept { return leads_; }

    [[nodiscard]] words data_of(std::uint64_t lead) noexcept {
        return words(data_).subspan(lead * words_a_lead, words_a_lead);
    }

    [[nodiscard]] static words part_of(words data, std::uint64_t child) noexcept {
        return data.subspan(child * words_a_child, words_a_child);
    }

    static void do_serially(words data, std::uint64_t lead) noexcept {
        fill(data, lead);
        for (std::uint64_t step = 0; step < steps; ++step) {
            for (std::uint64_t c = 0; c < children_each; ++c) evolve(part_of(data, c), step);
        }
    }

  private:
    // Computed once, apart from the serial contender, so that it is verified too.
    static const std::vector<std::uint64_t>& serial_digests(std::uint64_t leads) {
        static std::vector<std::uint64_t> digests;
        std::vector<std::uint64_t> data(words_a_lead);
        for (std::uint64_t lead = digests.size(); lead < leads; ++lead) {
            do_serially(data, lead);
            digests.push_back(digest_of(data));
        }
        return digests;
    }

    std::uint64_t leads_;
    std::vector<std::uint64_t> data_;
};

class serial : public leads_in_steps {
  public:
    using leads_in_steps::leads_in_steps;

    void run() override {
        for (std::uint64_t lead = 0; lead < leads(); ++lead) do_serially(data_of(lead), lead);
    }
};

class task_group : public with_arena<leads_in_steps> {
  public:
    using with_arena::with_arena;

    void run() override {
        arena().execute([this] {
            tbb::task_group group;
            run_all(group, leads(), [this](std::uint64_t lead) { do_lead(lead); });
        });
    }

  private:
    void do_lead(std::uint64_t lead) {
        const words data = data_of(lead);
        fill(data, lead);
        tbb::task_group children;
        for (std::uint64_t step = 0; step < steps; ++step) {
            run_all(children, children_each,
                    [data, step](std::uint64_t c) { evolve(part_of(data, c), step); });
        }
    }
};

// All heavy, so that all domains take part.
template <bond Bond, calls Calls>
class tokens : public with_runtime<leads_in_steps> {
  public:
    using with_runtime::with_runtime;

    void run() override {
        for (std::uint64_t lead = 0; lead < leads(); ++lead) lead_.post(lead);
        host().wait_idle();
    }

  private:
    [[nodiscard]] std::uint64_t expected_tokens() const override {
        return leads() * (1 + steps * children_each);
    }

    void do_lead(std::uint64_t lead) {
        const words data = data_of(lead);
        fill(data, lead);
        std::vector<token<void>> children(children_each);
        std::vector<std::tuple<words, std::uint64_t>> all(children_each);
        for (std::uint64_t step = 0; step < steps; ++step) {
            if (Calls == calls::bulk) {
                for (std::uint64_t c = 0; c < children_each; ++c) all[c] = {part_of(data, c), step};
                child_.bulk(all).wait();
                continue;
            }
            for (std::uint64_t c = 0; c < children_each; ++c) {
                children[c] = child_(part_of(data, c), step);
            }
            // The newest first: that is the order in which a worker runs what it has created.
            for (std::uint64_t c = children_each; c-- > 0;) children[c].wait();
        }
    }

    operation<void(words, std::uint64_t)> child_ =
        host().operation("child", {.weight = weight::heavy},
                         [](words part, std::uint64_t step) { evolve(part, step); });
    operation<void(std::uint64_t)> lead_ =
        host().operation("lead", parent_traits(weight::heavy, Bond, "child"),
                         [this](std::uint64_t lead) { do_lead(lead); });
};

const registration chains{{
    .id = "P13",
    .title = "children of leads, 16 steps of 128 each over the lead's 256 KiB",
    .tasks = 256 * steps * children_each,
    .quick_tasks = 8 * steps * children_each,
    .contenders = {enter<serial>("serial", family::serial),
                   enter<task_group>("task_group", family::onetbb),
                   enter<tokens<bond::none, calls::single>>("heavy", family::tokengate),
                   enter<tokens<bond::chain, calls::single>>("heavy, chains", family::tokengate),
                   enter<tokens<bond::chain, calls::bulk>>("bulks, chains", family::tokengate)},
    .goals = {{.of = "bulks, chains",
               .against = {"task_group"},
               .measure = goal::kind::speed_up,
               .limit = 1.2},
              {.of = "heavy, chains",
               .against = {"task_group"},
               .measure = goal::kind::speed_up,
               .limit = 1.0,
               .floor = true}},
}};

}  // namespace
}  // namespace tokengate::bench
