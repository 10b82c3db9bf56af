// SPDX-License-Identifier: Apache-2.0
#include "locality/strands.hpp"

#include <limits>
#include <new>
#include <utility>

#include "token/pool.hpp"

namespace tokengate::detail {

namespace {

// A list's word: its first record in the low 48 bits, as an address, and above it the number of
// visitors: threads that are inside this bucket at this moment, 65534 at most.
constexpr unsigned address_bits = 48;
constexpr std::uint64_t address_mask = (std::uint64_t{1} << address_bits) - 1;
constexpr std::uint64_t one_visitor = std::uint64_t{1} << address_bits;

std::uint64_t address_of(const strand* record) noexcept {
    return reinterpret_cast<std::uintptr_t>(record);
}
strand* first_of(std::uint64_t list) noexcept {
    return reinterpret_cast<strand*>(list & address_mask);
}
std::uint64_t visitors_of(std::uint64_t list) noexcept { return list >> address_bits; }
std::uint64_t with_first(std::uint64_t list, const strand* record) noexcept {
    return (list & ~address_mask) | address_of(record);
}

constexpr std::uint8_t record_class = size_class_of(sizeof(strand));
static_assert(alignof(strand) <= 64, "the pool aligns to cache lines");

// Memory of a record: a node of the pool, which threads exchange without malloc.
void* take_memory() {
    token_node* const node = allocate_node(record_class);
    if (address_of(reinterpret_cast<strand*>(node)) > address_mask) [[unlikely]] {
        free_node(*node, record_class);
        throw std::bad_alloc();  // a system with larger addresses than any that we know
    }
    node->~token_node();
    return node;
}

void give_memory(void* memory) noexcept { free_node(*new (memory) token_node, record_class); }

}  // namespace

// --- a record ------------------------------------------------------------------------------------

/// One member more, unless the record is dead.
bool strand::join() noexcept {
    std::uint64_t seen = members_.load(std::memory_order_relaxed);
    do {
        if ((seen & count_mask) == 0) return false;
        // Relaxed: the record was published by the list, and its queue has an order of its own.
    } while (!members_.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed));
    return true;
}

/// One member less; true for the last one, after which the record may be gone at any time.
bool strand::resign() noexcept {
    // Release: pairs with dead(), so that whoever frees the memory comes after all members.
    return (members_.fetch_sub(1, std::memory_order_release) & count_mask) == 1;
}

bool strand::dead() const noexcept {
    return (members_.load(std::memory_order_acquire) & count_mask) == 0;
}

strand* strand::next() const noexcept {
    // Acquire: pairs with the release in finalize_next() and in unlinking.
    return reinterpret_cast<strand*>(next_.load(std::memory_order_acquire) & ~final_bit);
}

/// Makes sure that nobody changes what comes next any more, and returns it.
strand* strand::finalize_next() noexcept {
    return reinterpret_cast<strand*>(next_.fetch_or(final_bit, std::memory_order_acq_rel) &
                                     ~final_bit);
}

// --- a bucket ------------------------------------------------------------------------------------

/// A list of records, newest first, and those that are unlinked and wait to be freed.
struct strand_table::bucket {
    atomic<std::uint64_t> list{0};
    atomic<strand*> limbo{nullptr};
};

/// A thread's stay in a bucket: until it ends, nothing that was linked when it began is freed.
class strand_table::visit {
  public:
    static void free_record(strand& record) noexcept {
        record.~strand();
        give_memory(&record);
    }

    explicit visit(bucket& where) noexcept : bucket_(where) { arrive(); }
    ~visit() {
        if (inside_) depart();
    }
    visit(const visit&) = delete;
    visit& operator=(const visit&) = delete;

    /// Joins the live record of a key.
    [[nodiscard]] strand* find(const key_id& key) const noexcept {
        for (strand* each = first_of(seen_); each != nullptr; each = each->next()) {
            if (each->key_ == key && each->join()) return each;
        }
        return nullptr;
    }

    /// Puts a record in front of the list that find() has seen, and ends the visit. False if there
    /// is another first record by now: then it must be looked for again.
    [[nodiscard]] bool insert(strand& record) noexcept {
        strand* const first = first_of(seen_);
        // Relaxed: published by the exchange below.
        record.next_.store(address_of(first), std::memory_order_relaxed);
        do {
            // Release: publishes the record, and ends the visit. Acquire: for the next find().
            if (bucket_.list.compare_exchange_weak(seen_, with_first(seen_, &record) - one_visitor,
                                                   std::memory_order_acq_rel,
                                                   std::memory_order_acquire)) {
                departed(seen_);
                return true;
            }
        } while (first_of(seen_) == first);
        return false;
    }

    /// The usual case of unlink_dead(), in one step with the end of the visit: the record that has
    /// died is the first one, and nobody else is here. False if it is otherwise.
    [[nodiscard]] bool unlink_alone(strand& died) noexcept {
        // The record may have been unlinked by others, and may be another key's by now. That it is
        // the first one says that it is linked, and thus safe to look at.
        if (visitors_of(seen_) != 1 || first_of(seen_) != &died || !died.dead()) return false;
        strand* const behind = died.finalize_next();
        // Acquire and release: as in depart_alone().
        if (!bucket_.list.compare_exchange_strong(seen_, with_first(seen_, behind) - one_visitor,
                                                  std::memory_order_acq_rel,
                                                  std::memory_order_relaxed)) {
            return false;
        }
        free_record(died);
        departed(seen_);
        return true;
    }

    /// Takes every dead record out of the list. One that was dead before is out when this returns,
    /// whoever did it.
    void unlink_dead() noexcept {
        while (!unlink_from(unlink_first())) {}
    }

    /// Calls see(const strand&) for every record that takes memory.
    template <class See>
    void for_each(See&& see) const {
        for (const strand* each = first_of(seen_); each != nullptr; each = each->next()) see(*each);
        // Acquire: pairs with the release in put_off(). Relaxed inside: as this is for statistics,
        // it may see a list that is being put together from others.
        for (const strand* each = bucket_.limbo.load(std::memory_order_acquire); each != nullptr;
             each = each->next_retired_.load(std::memory_order_relaxed)) {
            see(*each);
        }
    }

  private:
    void arrive() noexcept {
        // Acquire: pairs with every release on this word; see README.md.
        seen_ = bucket_.list.fetch_add(one_visitor, std::memory_order_acquire) + one_visitor;
        assert(visitors_of(seen_) > 0 &&
               visitors_of(seen_) < std::numeric_limits<std::uint16_t>::max());
        inside_ = true;
    }

    /// Takes dead records from the front of the list; returns the first record that lives.
    [[nodiscard]] strand* unlink_first() noexcept {
        // Acquire: pairs with insert(), here and on failure below.
        seen_ = bucket_.list.load(std::memory_order_acquire);
        strand* first = first_of(seen_);
        while (first != nullptr && first->dead()) {
            strand* const behind = first->finalize_next();
            const std::uint64_t without = with_first(seen_, behind);
            if (bucket_.list.compare_exchange_weak(seen_, without, std::memory_order_acq_rel,
                                                   std::memory_order_acquire)) {
                retire(*first);
                seen_ = without;
            }
            first = first_of(seen_);
        }
        return first;
    }

    /// Takes dead records from behind `left`. False if one that we stand on has died.
    [[nodiscard]] bool unlink_from(strand* left) noexcept {
        while (left != nullptr) {
            // Acquire: as in next().
            std::uintptr_t link = left->next_.load(std::memory_order_acquire);
            if ((link & strand::final_bit) != 0) return false;
            auto* const each = reinterpret_cast<strand*>(link);
            if (each == nullptr || !each->dead()) {
                left = each;
                continue;
            }
            strand* const behind = each->finalize_next();
            // Fails if `left` is final by now, or if somebody else has unlinked it: look again.
            if (left->next_.compare_exchange_strong(link, address_of(behind),
                                                    std::memory_order_acq_rel,
                                                    std::memory_order_relaxed)) {
                retire(*each);
            }
        }
        return true;
    }

    void retire(strand& record) noexcept {
        // Relaxed: only this visit knows of it; put_off() publishes it.
        record.next_retired_.store(retired_, std::memory_order_relaxed);
        retired_ = &record;
    }

    /// Ends the visit. What is unlinked is freed if nobody else is visiting.
    void depart() noexcept {
        if (depart_alone()) return;
        put_off();
        // Release: what this visit has read, it has read before anything is freed by whoever comes
        // out last. Acquire: whoever that is sees what the others have put off.
        departed(bucket_.list.fetch_sub(one_visitor, std::memory_order_acq_rel));
    }

    /// Ends it if something is unlinked and nobody else is visiting; frees what is unlinked.
    [[nodiscard]] bool depart_alone() noexcept {
        // Relaxed: only a hint; departed() looks again.
        if (retired_ == nullptr && bucket_.limbo.load(std::memory_order_relaxed) == nullptr) {
            return false;
        }
        std::uint64_t seen = bucket_.list.load(std::memory_order_relaxed);
        if (visitors_of(seen) != 1) return false;
        take_limbo();
        // Acquire: comes after all visits that have ended. Release: whoever arrives later finds
        // what was unlinked unlinked.
        if (!bucket_.list.compare_exchange_strong(
                seen, seen - one_visitor, std::memory_order_acq_rel, std::memory_order_relaxed)) {
            return false;
        }
        while (retired_ != nullptr) {
            strand* const record = retired_;
            retired_ = record->next_retired_.load(std::memory_order_relaxed);
            free_record(*record);
        }
        departed(seen);
        return true;
    }

    /// After the visit: the last one out goes back in if something waits to be freed. Somebody may
    /// have come, put something off and gone while this visit ended, however it did.
    void departed(std::uint64_t before) noexcept {
        inside_ = false;
        if (visitors_of(before) != 1) return;
        // Relaxed: who put something off departed before, and the word's order brings it here.
        if (bucket_.limbo.load(std::memory_order_relaxed) == nullptr) return;
        arrive();
        depart();
    }

    /// Leaves what is unlinked to a later visit.
    void put_off() noexcept {
        if (retired_ == nullptr) return;
        strand* last = retired_;
        while (strand* const after = last->next_retired_.load(std::memory_order_relaxed)) {
            last = after;
        }
        strand* seen = bucket_.limbo.load(std::memory_order_relaxed);
        do {
            last->next_retired_.store(seen, std::memory_order_relaxed);
            // Release: pairs with take_limbo().
        } while (!bucket_.limbo.compare_exchange_weak(seen, retired_, std::memory_order_release,
                                                      std::memory_order_relaxed));
        retired_ = nullptr;
    }

    void take_limbo() noexcept {
        if (bucket_.limbo.load(std::memory_order_relaxed) == nullptr) return;
        // Acquire: pairs with the release of each put_off() whose records these are.
        strand* each = bucket_.limbo.exchange(nullptr, std::memory_order_acquire);
        while (each != nullptr) {
            strand* const after = each->next_retired_.load(std::memory_order_relaxed);
            retire(*each);
            each = after;
        }
    }

    bucket& bucket_;
    std::uint64_t seen_ = 0;
    strand* retired_ = nullptr;
    bool inside_ = false;
};

// --- the table -----------------------------------------------------------------------------------

strand_table::strand_table(std::size_t buckets)
    : size_(buckets), buckets_(std::make_unique<bucket[]>(buckets)) {
    static_assert(sizeof(bucket) == 16);
    assert(buckets > 0 && buckets <= std::numeric_limits<std::uint32_t>::max());
}

strand_table::~strand_table() { assert(count() == 0 && dead() == 0); }

strand_table::bucket& strand_table::bucket_of(const key_id& key) const noexcept {
    // The upper half of a product depends on all bits; scaled to the number of buckets.
    const std::uint64_t mixed = ((key.high ^ key.low) * 0x9E3779B97F4A7C15U) >> 32U;
    return buckets_[(mixed * size_) >> 32U];
}

strand_table::entered strand_table::enter(key_id key, unsigned candidate_domain) {
    visit here(bucket_of(key));
    strand* found = here.find(key);
    if (found != nullptr) return {.which = found, .first = false};
    auto* const record = new (take_memory()) strand(key, candidate_domain);
    while (!here.insert(*record)) {
        // Whoever came first may have come with the same key.
        found = here.find(key);
        if (found != nullptr) {
            visit::free_record(*record);
            return {.which = found, .first = false};
        }
    }
    return {.which = record, .first = true};
}

void strand_table::leave(strand& which) noexcept {
    bucket& home = bucket_of(which.key_);
    if (!which.resign()) return;
    visit here(home);
    if (!here.unlink_alone(which)) here.unlink_dead();
}

std::size_t strand_table::count() const noexcept {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < size_; ++i) {
        // Most of them are empty, and left unwritten. Relaxed: nothing is looked at then.
        if (buckets_[i].list.load(std::memory_order_relaxed) == 0) continue;
        const visit here(buckets_[i]);
        here.for_each([&](const strand& each) { sum += each.dead() ? 0 : 1; });
    }
    return sum;
}

std::size_t strand_table::dead() const noexcept {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < size_; ++i) {
        const visit here(buckets_[i]);
        here.for_each([&](const strand& each) { sum += each.dead() ? 1 : 0; });
    }
    return sum;
}

}  // namespace tokengate::detail
