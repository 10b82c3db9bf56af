// SPDX-License-Identifier: Apache-2.0
/// @file
/// What must be in the books after random calls: a model that is too simple to be wrong.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include <tokengate/tokengate.hpp>

namespace tokengate::test {

/// The operations of the model, in the order of their declaration; `loops` are those that
/// parallel_for() and parallel_reduce() declare.
enum class kind : std::uint8_t {
    fine,         ///< returns its argument
    throws,       ///< throws
    nested,       ///< waits for a fine one
    drops,        ///< makes a fine one and one that throws, and waits for neither
    fails_below,  ///< waits for one that throws
    plus_one,     ///< takes the results of others
    retried,      ///< throws twice before it returns
    keyed,        ///< has a key
    serial,       ///< has a serial key
    lead,         ///< waits for a fine one and a keyed one in its chain
    awaits,       ///< a coroutine that waits for a fine one
    lingers,      ///< runs until it is asked to stop: by its run_timeout, if by nobody else
    impatient,    ///< has a queue_timeout that may be over before it begins
    once,         ///< equal calls in flight share a token
    choosy,       ///< two in flight, a third is refused
    latest,       ///< two in flight, a third takes the place of the oldest
    metered,      ///< a number of calls, and then none for days
    stored,       ///< works on storage
    fragile,      ///< fails half of the time, and is blocked for that
    loops,
};
inline constexpr std::size_t kinds = static_cast<std::size_t>(kind::loops) + 1;
inline constexpr std::size_t index_of(kind which) { return static_cast<std::size_t>(which); }

/// Ways in which a token may end, as a set.
using ways = unsigned;
inline constexpr ways completed = 1;
inline constexpr ways failed = 2;
inline constexpr ways killed = 4;
inline constexpr ways timed_out = 8;
inline constexpr ways never = 16;  ///< who was to make it may not come to that
inline constexpr std::array<ways, 4> all_ways{completed, failed, killed, timed_out};

/// The way in which a token has ended; 0 if it has not.
inline ways way_of(token_state state) {
    switch (state) {
        case token_state::completed: return completed;
        case token_state::failed: return failed;
        case token_state::killed: return killed;
        case token_state::timed_out: return timed_out;
        default: return 0;
    }
}

/// A number that is known, or between two that are.
struct bounds {
    std::uint64_t least = 0;
    std::uint64_t most = 0;

    bounds& operator+=(const bounds& other) {
        least += other.least;
        most += other.most;
        return *this;
    }
    [[nodiscard]] bool hold(std::uint64_t number) const {
        return least <= number && number <= most;
    }
};

/// What must be in the books of one operation.
struct expected_counts {
    bounds accepted;
    std::array<bounds, all_ways.size()> ended;  ///< in the order of all_ways
    std::uint64_t refused = 0;
    std::uint64_t coalesced = 0;

    /// Adds those of another driver.
    expected_counts& operator+=(const expected_counts& other) {
        accepted += other.accepted;
        for (std::size_t i = 0; i < ended.size(); ++i) ended[i] += other.ended[i];
        refused += other.refused;
        coalesced += other.coalesced;
        return *this;
    }

    /// Adds a token that may end in these ways.
    void add(ways may) {
        accepted.least += (may & never) == 0 ? 1 : 0;
        accepted.most += 1;
        for (std::size_t i = 0; i < all_ways.size(); ++i) {
            ended[i].least += may == all_ways[i] ? 1 : 0;
            ended[i].most += (may & all_ways[i]) != 0 ? 1 : 0;
        }
    }
};

/// The books of one operation.
struct operation_books {
    token_counts counts;
    std::uint64_t coalesced = 0;
};

/// Each number is what the model says, or inside its bounds; their sum is exact in any case.
inline bool agrees(const operation_books& books, const expected_counts& model) {
    const token_counts& found = books.counts;
    const std::array<std::uint64_t, all_ways.size()> ended{found.completed, found.failed,
                                                           found.killed, found.timed_out};
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < ended.size(); ++i) {
        if (!model.ended[i].hold(ended[i])) return false;
        sum += ended[i];
    }
    return found.accepted == sum && model.accepted.hold(found.accepted) &&
           found.refused == model.refused && books.coalesced == model.coalesced;
}

using all_books = std::array<operation_books, kinds>;
using all_expected = std::array<expected_counts, kinds>;

inline all_books books_of(const runtime& rt) {
    all_books books{};
    const runtime_stats seen = rt.stats();
    for (std::size_t i = 0; i < seen.operations.size(); ++i) {
        operation_books& one = books[i < kinds ? i : kinds - 1];
        one.counts += seen.operations[i].counts;
        one.coalesced += seen.operations[i].coalesced;
    }
    return books;
}

/// What came into the books after an earlier look.
inline all_books since(const all_books& before, all_books now) {
    for (std::size_t i = 0; i < kinds; ++i) {
        token_counts& counts = now[i].counts;
        const token_counts& old = before[i].counts;
        counts.accepted -= old.accepted;
        counts.completed -= old.completed;
        counts.failed -= old.failed;
        counts.killed -= old.killed;
        counts.timed_out -= old.timed_out;
        counts.refused -= old.refused;
        now[i].coalesced -= before[i].coalesced;
    }
    return now;
}

inline bool agrees(const all_books& books, const all_expected& model) {
    for (std::size_t i = 0; i < kinds; ++i) {
        if (!agrees(books[i], model[i])) return false;
    }
    return true;
}

/// What is known of a token that a driver has made, or that one of its tokens makes.
struct fate {
    kind of = kind::fine;
    ways may = completed;
    int value = 0;                     ///< what it delivers if it completes
    std::uint64_t id = 0;              ///< 0: nobody has a handle
    std::vector<fate*> inputs = {};    ///< it fails unless they complete
    std::vector<fate*> children = {};  ///< those that it makes
    bool needs_children = false;       ///< it fails unless they complete
    bool waits = false;                ///< for the end of a pause: it has surely not begun
    bool known = false;                ///< it has ended, so that nothing changes `may` any more
};

/// The tokens of one driver.
class book_model {
  public:
    /// @param alone  false: others kill at any moment
    explicit book_model(bool alone) : alone_(alone) {}

    /// A token that was made. Inputs and children come before it.
    fate& add(fate made) {
        if (!alone_) {
            made.may |= killed;
            if (made.of == kind::retried || !made.children.empty()) made.may |= failed;
        }
        fate& added = fates_.emplace_back(std::move(made));
        sharpen(added);
        return added;
    }

    /// All of these may have been killed at this moment; those that wait have been. How many that
    /// were at most.
    template <class Concerned>
    std::size_t kill(Concerned&& concerned) {
        std::size_t most = 0;
        for (fate& each : fates_) {
            if (each.known || !concerned(each)) continue;
            ++most;
            if (each.waits) {
                end(each, killed);
            } else {
                each.may |= killed;
                // An attempt that has thrown meanwhile is the last.
                if (each.of == kind::retried) each.may |= failed;
            }
        }
        sharpen_all();
        return most;
    }

    /// A stop has killed what was left; calls that callables made at that moment threw.
    void stop_at_deadline() {
        kill([](const fate&) { return true; });
        for (fate& each : fates_) {
            if (each.known || each.children.empty()) continue;
            each.may |= failed;
        }
        sharpen_all();
    }

    /// A token of `latest` was let in: the oldest one that has not begun made room for it, if there
    /// was no other room; others, if a worker was just about to put that one aside.
    void drop_oldest(std::size_t room) {
        const std::vector<fate*> line = waiting(kind::latest);
        if (line.size() < room) return may_be_dropped();
        end(*line.front(), killed);
        may_be_dropped();
    }

    /// It may have made room.
    void may_be_dropped() {
        for (fate& each : fates_) {
            if (each.of == kind::latest && !each.known) each.may |= killed;
        }
        sharpen_all();
    }

    /// A token has ended so. False if it may not.
    [[nodiscard]] bool learn(fate& one, ways how) {
        if ((one.may & how) == 0) return false;
        if (one.known) return true;
        const bool news = one.may != how;
        one.may = how;
        one.known = true;
        one.waits = false;
        if (how == completed) {
            for (fate* each : one.children) {
                if (each->known) continue;
                each->may &= ~never;
                if (!one.needs_children) continue;
                each->may = completed;
                each->known = true;
            }
        }
        if (news) sharpen_all();
        return true;
    }

    /// It was ended so before it began, or while it ran, by the one who says so.
    void end(fate& one, ways how) {
        one.may = how;
        one.known = true;
        for (fate* each : one.children) {
            if (!each->known) each->may = one.waits ? never : each->may | never;
            if (one.waits) each->known = true;
        }
        one.waits = false;
    }

    /// Nothing is in flight but what killed callables may make yet.
    void all_have_ended() {
        for (fate& each : fates_) {
            if ((each.may & never) == 0) each.known = true;
        }
    }

    void nobody_waits() {
        for (fate& each : fates_) each.waits = false;
    }

    void refused(kind which) { ++refused_[index_of(which)]; }
    void coalesced(kind which) { ++coalesced_[index_of(which)]; }

    /// The one with this id, if it is of this driver.
    [[nodiscard]] fate* find(std::uint64_t id) {
        for (fate& each : fates_) {
            if (each.id == id) return &each;
        }
        return nullptr;
    }

    /// Those of a kind that wait, the oldest first.
    [[nodiscard]] std::vector<fate*> waiting(kind which) {
        std::vector<fate*> found;
        for (fate& each : fates_) {
            if (each.of == which && each.waits) found.push_back(&each);
        }
        return found;
    }

    void sharpen_all() {
        for (fate& each : fates_) sharpen(each);
    }

    [[nodiscard]] all_expected sums() const {
        all_expected sum{};
        for (const fate& each : fates_) {
            if (each.may != never) sum[index_of(each.of)].add(each.may);
        }
        for (std::size_t i = 0; i < kinds; ++i) {
            sum[i].refused = refused_[i];
            sum[i].coalesced = coalesced_[i];
        }
        return sum;
    }

  private:
    /// What follows from how those may end that it needs, and for those that it makes.
    static void sharpen(fate& one) {
        if (one.known) return;
        bool lacks = false;
        bool may_lack = false;
        const auto look = [&](const fate& needed) {
            if ((needed.may & completed) == 0) lacks = true;
            if ((needed.may & ~completed) != 0) may_lack = true;
        };
        for (const fate* each : one.inputs) look(*each);
        if (one.needs_children) {
            for (const fate* each : one.children) look(*each);
        }
        if (lacks) one.may &= ~completed;
        if (lacks || may_lack) one.may |= failed;
        const bool cut_short = one.needs_children && one.children.size() > 1 && may_lack;
        if ((one.may & (killed | timed_out)) == 0 && !cut_short) return;
        for (fate* each : one.children) {
            if (!each->known) each->may |= never;
        }
    }

    bool alone_;
    std::deque<fate> fates_;
    std::array<std::uint64_t, kinds> refused_{};
    std::array<std::uint64_t, kinds> coalesced_{};
};

}  // namespace tokengate::test
