// SPDX-License-Identifier: Apache-2.0
// Serial keys under load: one token of a key at a time, each submitter's in their order, all run.
#include "locality/strands.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "figure.hpp"
#include "random.hpp"
#include "scale.hpp"
#include "token/pool.hpp"

namespace tokengate::test {
namespace {

using detail::key_id;
using detail::strand;
using detail::strand_table;
using detail::token_node;

constexpr std::size_t threads = 4;

// --- strands and tables with one mistake each ---------------------------------------------------

/// A strand as simple as can be; without a mistake.
class locked_strand {
  public:
    bool submit(token_node& node) {
        const std::scoped_lock guard(lock_);
        line_.push_back(&node);
        return line_.size() == 1;
    }
    token_node* finish() {
        const std::scoped_lock guard(lock_);
        line_.pop_front();
        return line_.empty() ? nullptr : line_.front();
    }

  private:
    std::mutex lock_;
    std::deque<token_node*> line_;
};

/// Broken: looks whether somebody waits, and then leaves, without looking again.
class hasty_strand {
  public:
    bool submit(token_node& node) {
        const std::scoped_lock guard(lock_);
        if (!busy_) {
            busy_ = true;
            return true;
        }
        line_.push_back(&node);
        return false;
    }
    token_node* finish() {
        {
            const std::scoped_lock guard(lock_);
            if (!line_.empty()) {
                token_node* const next = line_.front();
                line_.pop_front();
                return next;
            }
        }
        std::this_thread::yield();
        const std::scoped_lock guard(lock_);
        busy_ = false;
        line_.clear();  // an exchange forgets what was pushed in between
        return nullptr;
    }

  private:
    std::mutex lock_;
    bool busy_ = false;
    std::deque<token_node*> line_;
};

/// A table that never forgets a key, for strands that are put to the test themselves.
template <class Strand>
class plain_table {
  public:
    struct entered {
        Strand* which;
        bool first;
    };
    entered enter(key_id key, unsigned /*candidate*/) {
        const std::scoped_lock guard(lock_);
        std::unique_ptr<Strand>& found = all_[key.low];
        if (found == nullptr) found = std::make_unique<Strand>();
        return {.which = found.get(), .first = false};
    }
    void leave(Strand& /*which*/) {}

  private:
    std::mutex lock_;
    std::map<std::uint64_t, std::unique_ptr<Strand>> all_;
};

/// Broken: a record that was not found is inserted without looking at what came meanwhile.
class blind_table {
  public:
    struct record : locked_strand {
        std::uint64_t key = 0;
        std::atomic<int> members{1};
        record* next = nullptr;
    };
    struct entered {
        record* which;
        bool first;
    };
    ~blind_table() {
        for (record* each = head_; each != nullptr;) delete std::exchange(each, each->next);
    }
    entered enter(key_id key, unsigned /*candidate*/) {
        for (record* each = head_; each != nullptr; each = each->next) {
            int members = each->members;
            while (each->key == key.low && members > 0) {
                if (each->members.compare_exchange_weak(members, members + 1)) return {each, false};
            }
        }
        std::this_thread::yield();
        auto* const made = new record;
        made->key = key.low;
        made->next = head_;
        while (!head_.compare_exchange_weak(made->next, made)) {}
        return {made, true};
    }
    void leave(record& which) { --which.members; }

  private:
    std::atomic<record*> head_{nullptr};
};

// --- the load ------------------------------------------------------------------------------------

/// What went wrong, and how much was done.
struct outcome {
    std::size_t lost = 0;       ///< tokens that never ran
    std::size_t overlaps = 0;   ///< tokens that ran beside another one of their key
    std::size_t disorders = 0;  ///< tokens that ran before an earlier one of their submitter
    std::size_t strangers = 0;  ///< members of a key that found another record than the rest
    std::size_t waited = 0;     ///< tokens that had to wait for their turn

    [[nodiscard]] bool clean() const { return lost + overlaps + disorders + strangers == 0; }
};

/// Threads that submit tokens to a few keys, and run them. `exact`: whether strands are expected to
/// keep the tokens of a key apart; then what these touch is not atomic, and a sanitizer looks on.
template <class Table, bool exact>
class load {
  public:
    load(Table& table, std::size_t keys, std::size_t tokens)
        : table_(table), lines_(keys), tokens_(tokens), jobs_(threads * tokens) {
        for (std::size_t i = 0; i < jobs_.size(); ++i) {
            jobs_[i].node = detail::allocate_node(0);
            jobs_[i].node->id = i;
        }
    }
    ~load() {
        for (job& each : jobs_) detail::free_node(*each.node, 0);
    }
    load(const load&) = delete;
    load& operator=(const load&) = delete;

    [[nodiscard]] outcome run() {
        const seeded parent;
        std::vector<std::thread> crowd;
        for (std::size_t t = 0; t < threads; ++t) {
            crowd.emplace_back([this, &parent, t] {
                seeded random(parent, t);
                for (std::size_t i = 0; i < tokens_; ++i) {
                    submit(t, i, random);
                    while (random.one_in(2) && run_one(random)) {}
                }
                while (run_one(random)) {}
            });
        }
        for (std::thread& each : crowd) each.join();
        return {.lost = jobs_.size() - ran_,
                .overlaps = overlaps_,
                .disorders = disorders_,
                .strangers = strangers_,
                .waited = waited_};
    }

  private:
    using line_type = std::remove_pointer_t<decltype(std::declval<Table>().enter({}, 0).which)>;
    template <class T>
    using cell = std::conditional_t<exact, T, std::atomic<T>>;

    struct job {
        token_node* node = nullptr;
        line_type* line = nullptr;
        std::size_t key = 0;
    };
    struct line_state {
        std::atomic<int> running{0};
        cell<std::size_t> next[threads]{};  ///< the lowest number that each submitter may run
        std::mutex lock;
        std::size_t members = 0;
        line_type* record = nullptr;
    };

    void submit(std::size_t thread, std::size_t number, seeded& random) {
        job& mine = jobs_[thread * tokens_ + number];
        mine.key = random.below(lines_.size());
        mine.line = table_.enter({17, mine.key}, static_cast<unsigned>(thread)).which;
        line_state& state = lines_[mine.key];
        {
            const std::scoped_lock guard(state.lock);
            if (state.members++ == 0) state.record = mine.line;
            if (state.record != mine.line) ++strangers_;
        }
        if (mine.line->submit(*mine.node)) {
            post(*mine.node);
        } else {
            ++waited_;
        }
    }

    void post(token_node& node) {
        const std::scoped_lock guard(lock_);
        ready_.push_back(&node);
    }

    [[nodiscard]] bool run_one(seeded& random) {
        token_node* node = nullptr;
        {
            const std::scoped_lock guard(lock_);
            if (ready_.empty()) return false;
            node = ready_.front();
            ready_.pop_front();
        }
        // At times the next one runs at once, on the same thread.
        while (node != nullptr) {
            node = execute(*node, random);
            if (node != nullptr && random.one_in(2)) {
                post(*node);
                node = nullptr;
            }
        }
        return true;
    }

    [[nodiscard]] token_node* execute(token_node& node, seeded& random) {
        job& mine = jobs_[node.id];
        line_state& state = lines_[mine.key];
        if (state.running.fetch_add(1, std::memory_order_relaxed) != 0) ++overlaps_;
        auto& next = state.next[node.id / tokens_];
        if (next > node.id % tokens_) ++disorders_;
        next = node.id % tokens_ + 1;
        if (random.one_in(8)) std::this_thread::yield();
        ++ran_;
        state.running.fetch_sub(1, std::memory_order_relaxed);
        token_node* const after = mine.line->finish();
        {
            const std::scoped_lock guard(state.lock);
            --state.members;
        }
        table_.leave(*mine.line);
        return after;
    }

    Table& table_;
    std::vector<line_state> lines_;
    const std::size_t tokens_;
    std::vector<job> jobs_;
    std::mutex lock_;
    std::deque<token_node*> ready_;
    std::atomic<std::size_t> ran_{0};
    std::atomic<std::size_t> overlaps_{0};
    std::atomic<std::size_t> disorders_{0};
    std::atomic<std::size_t> strangers_{0};
    std::atomic<std::size_t> waited_{0};
};

}  // namespace

TEST_CASE("tokens_of_a_serial_key_run_one_at_a_time_in_order_and_all_of_them") {
    for (const std::size_t buckets : {1U, 2U, 16U}) {
        for (const std::size_t keys : {1U, 3U, 100U}) {
            INFO(buckets, " buckets, ", keys, " keys");
            strand_table table(buckets);
            load<strand_table, true> tokens(table, keys, scaled(20'000));
            const outcome seen = tokens.run();
            CHECK(seen.lost == 0);
            CHECK(seen.overlaps == 0);
            CHECK(seen.disorders == 0);
            CHECK(seen.strangers == 0);
            // Some did wait, or this has shown nothing.
            CHECK(seen.waited > 0);
            CHECK(table.count() == 0);
            CHECK(table.dead() == 0);
            figure("serial tokens in order", threads * scaled(20'000));
        }
    }
}

TEST_CASE("keys_that_come_and_go_on_all_threads_take_no_memory") {
    for (const std::size_t keys : {2U, 1000U}) {
        INFO(keys, " keys");
        strand_table table(1);
        const seeded parent;
        const auto come_and_go = [&](std::size_t rounds) {
            std::vector<std::thread> crowd;
            for (std::size_t t = 0; t < threads; ++t) {
                crowd.emplace_back([&, t] {
                    seeded random(parent, t);
                    std::vector<strand*> held(5, nullptr);
                    for (std::size_t i = 0; i < rounds; ++i) {
                        strand*& slot = held[random.below(held.size())];
                        if (slot != nullptr) table.leave(*slot);
                        slot = table.enter({random.below(keys), 3}, 0).which;
                    }
                    for (strand* each : held) {
                        if (each != nullptr) table.leave(*each);
                    }
                });
            }
            for (std::thread& each : crowd) each.join();
            CHECK(table.count() == 0);
            CHECK(table.dead() == 0);
        };
        // A record that is lost takes memory for ever. Otherwise a round takes some only if more
        // records than ever before had to wait until a visitor was gone that was held up.
        bool took_memory = true;
        for (int i = 0; i < 10 && took_memory; ++i) {
            const std::size_t before = detail::usage_of_pool().slab_bytes;
            come_and_go(50'000);
            took_memory = detail::usage_of_pool().slab_bytes > before;
        }
        CHECK_FALSE(took_memory);
    }
}

TEST_CASE("the_check_of_strands_catches_one_that_leaves_without_looking_again") {
    plain_table<locked_strand> sound;
    CHECK(load<plain_table<locked_strand>, true>(sound, 3, scaled(10'000)).run().clean());
    plain_table<hasty_strand> broken;
    CHECK(load<plain_table<hasty_strand>, false>(broken, 3, scaled(100'000)).run().lost > 0);
}

TEST_CASE("the_check_of_strands_catches_a_table_that_inserts_without_looking_again") {
    blind_table broken;
    const outcome seen = load<blind_table, false>(broken, 3, 2000).run();
    CHECK(seen.strangers > 0);
}

}  // namespace tokengate::test
