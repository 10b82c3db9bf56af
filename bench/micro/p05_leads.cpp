// SPDX-License-Identifier: Apache-2.0
// P5: whether children run while what their parent has written is in the cache.
#include <tbb/parallel_for.h>
#include <tbb/task_group.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "support/onetbb.hpp"
#include "support/split.hpp"
#include "support/tally.hpp"
#include "support/work.hpp"
#include "support/workers.hpp"

namespace tokengate::bench {
namespace {

constexpr std::uint64_t children_each = 16;
constexpr std::size_t words_a_child = 2048;  // 16 KiB
constexpr std::size_t words_a_lead = children_each * words_a_child;

// Not inlined: the same machine code for all.
[[gnu::noinline]] void fill(std::span<std::uint64_t> words, std::uint64_t first) noexcept {
    std::iota(words.begin(), words.end(), first);
}

[[gnu::noinline]] std::uint64_t sum_of(std::span<const std::uint64_t> words) noexcept {
    return std::accumulate(words.begin(), words.end(), std::uint64_t{0});
}

// Each lead fills a buffer of its own, and each of its children sums a part of that. The figures
// are per child; a lead's own work is spread over its children.
class leads_and_children : public contender {
  public:
    explicit leads_and_children(const setting& given)
        : leads_(given.tasks / children_each),
          words_(leads_ * words_a_lead),
          sums_(leads_ * children_each) {}

    // Other first words in each repetition, so that no sum is right that was not made in it.
    void prepare() override { base_ += 1'000'003; }

    void verify() override {
        for (std::uint64_t child = 0; child < sums_.size(); ++child) {
            const std::uint64_t first =
                first_word(child / children_each) + child % children_each * words_a_child;
            const std::uint64_t last = first + words_a_child - 1;
            expect_equal("sum of a child", static_cast<std::int64_t>(sums_[child]),
                         static_cast<std::int64_t>((first + last) * words_a_child / 2));
        }
    }

  protected:
    [[nodiscard]] std::uint64_t leads() const noexcept { return leads_; }
    [[nodiscard]] std::uint64_t tasks() const noexcept { return leads_ * (1 + children_each); }

    void be_lead(std::uint64_t lead) {
        fill(std::span(words_).subspan(lead * words_a_lead, words_a_lead), first_word(lead));
    }

    // Children are numbered through all leads.
    void be_child(std::uint64_t child) {
        sums_[child] = sum_of(std::span(words_).subspan(child * words_a_child, words_a_child));
    }

    [[nodiscard]] static std::uint64_t first_child(std::uint64_t lead) noexcept {
        return lead * children_each;
    }

  private:
    [[nodiscard]] std::uint64_t first_word(std::uint64_t lead) const noexcept {
        return base_ + lead * 7'919;
    }

    std::uint64_t leads_;
    std::uint64_t base_ = 0;
    std::vector<std::uint64_t> words_;
    std::vector<std::uint64_t> sums_;
};

class serial : public leads_and_children {
  public:
    using leads_and_children::leads_and_children;

    void run() override {
        for (std::uint64_t lead = 0; lead < leads(); ++lead) do_lead(lead);
    }

  protected:
    void do_lead(std::uint64_t lead) {
        be_lead(lead);
        for (std::uint64_t c = 0; c < children_each; ++c) be_child(first_child(lead) + c);
    }
};

class split : public serial {
  public:
    explicit split(const setting& given) : serial(given), threads_(given.threads) {}

    void run() override {
        split_evenly(threads_, leads(), [this](std::uint64_t lead) { do_lead(lead); });
    }

  private:
    unsigned threads_;
};

class task_group : public with_arena<leads_and_children> {
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
        be_lead(lead);
        tbb::task_group children;
        run_all(children, children_each,
                [this, first = first_child(lead)](std::uint64_t c) { be_child(first + c); });
    }
};

// One index a task.
class parallel_for : public with_arena<leads_and_children> {
  public:
    using with_arena::with_arena;

    void run() override {
        arena().execute([this] {
            for_each(0, leads(), [this](std::uint64_t lead) {
                be_lead(lead);
                const std::uint64_t child = first_child(lead);
                for_each(child, child + children_each, [this](std::uint64_t i) { be_child(i); });
            });
        });
    }

  private:
    template <class Body>
    static void for_each(std::uint64_t begin, std::uint64_t end, const Body& body) {
        tbb::parallel_for(begin, end, body, tbb::simple_partitioner());
    }
};

class enqueue : public with_arena<leads_and_children, submitter::besides> {
  public:
    using with_arena::with_arena;

    void run() override {
        const std::uint64_t end = tally::finished() + tasks();
        for (std::uint64_t lead = 0; lead < leads(); ++lead) {
            arena().enqueue([this, lead] {
                be_lead(lead);
                for (std::uint64_t c = 0; c < children_each; ++c) {
                    arena().enqueue([this, child = first_child(lead) + c] {
                        be_child(child);
                        tally::count();
                    });
                }
                tally::count();
            });
        }
        tally::wait_for(end);
    }
};

template <weight Weight, bond Bond>
class tokens : public with_runtime<leads_and_children> {
  public:
    using with_runtime::with_runtime;

    void run() override {
        for (std::uint64_t lead = 0; lead < leads(); ++lead) lead_.post(lead);
        host().wait_idle();
    }

  private:
    [[nodiscard]] std::uint64_t expected_tokens() const override { return tasks(); }

    operation<void(std::uint64_t)> child_ = host().operation(
        "child", {.weight = Weight}, [this](std::uint64_t child) { be_child(child); });
    operation<void(std::uint64_t)> lead_ =
        host().operation("lead", parent_traits(Weight, Bond, "child"), [this](std::uint64_t lead) {
            be_lead(lead);
            const std::uint64_t child = first_child(lead);
            for (std::uint64_t c = 0; c < children_each; ++c) child_.post(child + c);
        });
};

const registration leads{{
    .id = "P5",
    .title = "children, 16 of each lead that fills 256 KiB: each sums a part of that",
    .tasks = 8'192,
    .quick_tasks = 512,
    .contenders = {enter<serial>("serial", family::serial), enter<split>("split", family::serial),
                   enter<task_group>("task_group", family::onetbb),
                   enter<parallel_for>("parallel_for", family::onetbb),
                   enter<enqueue>("enqueue", family::onetbb),
                   enter<tokens<weight::medium, bond::none>>("tokengate", family::tokengate),
                   enter<tokens<weight::medium, bond::chain>>("medium, chains", family::tokengate),
                   enter<tokens<weight::heavy, bond::none>>("heavy", family::tokengate),
                   enter<tokens<weight::heavy, bond::chain>>("heavy, chains", family::tokengate)},
    .goals = {{.of = "tokengate", .against = {"task_group"}, .limit = 1.0},
              {.of = "tokengate", .against = {"enqueue"}, .limit = 0.55},
              {.of = "heavy, chains", .against = {"task_group"}, .limit = 1.0}},
}};

}  // namespace
}  // namespace tokengate::bench
