// SPDX-License-Identifier: Apache-2.0
// P5: whether children run while what their parent has written is in the cache.
#include <tbb/parallel_for.h>
#include <tbb/task_group.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <thread>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "support/onetbb.hpp"
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

// The same share for each thread, dealt beforehand: what the machine has to give.
class split : public serial {
  public:
    explicit split(const setting& given) : serial(given), threads_(given.threads) {}

    void run() override {
        std::vector<std::jthread> helpers;
        for (unsigned part = 1; part < threads_; ++part) {
            helpers.emplace_back([this, part] { do_part(part); });
        }
        do_part(0);
    }

  private:
    void do_part(std::uint64_t part) {
        const std::uint64_t end = leads() * (part + 1) / threads_;
        for (std::uint64_t i = leads() * part / threads_; i < end; ++i) do_lead(i);
    }

    unsigned threads_;
};

class task_group : public leads_and_children {
  public:
    explicit task_group(const setting& given)
        : leads_and_children(given), arena_(given, submitter::included) {}

    void run() override {
        arena_.get().execute([this] {
            tbb::task_group group;
            for (std::uint64_t lead = 0; lead < leads(); ++lead) {
                group.run([this, lead] { do_lead(lead); });
            }
            group.wait();
        });
    }

  private:
    void do_lead(std::uint64_t lead) {
        be_lead(lead);
        tbb::task_group children;
        for (std::uint64_t c = 0; c < children_each; ++c) {
            children.run([this, child = first_child(lead) + c] { be_child(child); });
        }
        children.wait();
    }

    sized_arena arena_;
};

// One index a task.
class parallel_for : public leads_and_children {
  public:
    explicit parallel_for(const setting& given)
        : leads_and_children(given), arena_(given, submitter::included) {}

    void run() override {
        arena_.get().execute([this] {
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

    sized_arena arena_;
};

class enqueue : public leads_and_children {
  public:
    explicit enqueue(const setting& given)
        : leads_and_children(given), arena_(given, submitter::besides) {}

    void run() override {
        const std::uint64_t end = tally::finished() + tasks();
        for (std::uint64_t lead = 0; lead < leads(); ++lead) {
            arena_.get().enqueue([this, lead] {
                be_lead(lead);
                for (std::uint64_t c = 0; c < children_each; ++c) {
                    arena_.get().enqueue([this, child = first_child(lead) + c] {
                        be_child(child);
                        tally::count();
                    });
                }
                tally::count();
            });
        }
        tally::wait_for(end);
    }

  private:
    sized_arena arena_;
};

enum class bond : std::uint8_t {
    none,   // children are free tokens: other domains may steal them
    chain,  // each lead opens a chain, and its children belong to it
};

template <weight Weight, bond Bond>
class tokens : public leads_and_children {
  public:
    explicit tokens(const setting& given)
        : leads_and_children(given), runtime_(one_worker_a_core(given)) {}

    void run() override {
        for (std::uint64_t lead = 0; lead < leads(); ++lead) static_cast<void>(lead_(lead));
        runtime_.wait_idle();
    }

    void verify() override {
        leads_and_children::verify();
        expect_completed(runtime_, completed_, tasks());
    }

  private:
    [[nodiscard]] static operation_traits lead_traits() {
        operation_traits traits{.weight = Weight};
        if (Bond == bond::chain) traits.external_calls = {"child"};
        return traits;
    }

    runtime runtime_;
    operation<void(std::uint64_t)> child_ = runtime_.operation(
        "child", {.weight = Weight}, [this](std::uint64_t child) { be_child(child); });
    operation<void(std::uint64_t)> lead_ =
        runtime_.operation("lead", lead_traits(), [this](std::uint64_t lead) {
            be_lead(lead);
            const std::uint64_t child = first_child(lead);
            for (std::uint64_t c = 0; c < children_each; ++c) static_cast<void>(child_(child + c));
        });
    std::uint64_t completed_ = 0;
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
