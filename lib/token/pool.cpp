// SPDX-License-Identifier: Apache-2.0
#include "token/pool.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include <tokengate/detail/continuation.hpp>

#include "token/fork_lock.hpp"
#include "token/index_stack.hpp"
#include "token/poison.hpp"
#include "token/prefetch.hpp"
#include "token/slab.hpp"

namespace tokengate::detail {

namespace {

static_assert(node_sizes.back() >= largest_pooled);
static_assert(node_sizes.front() == cache_line);

// Nodes move between threads and the depot in batches of about one page.
constexpr std::size_t batch_bytes = 4096;
// Batches that the depot of one size class keeps, 4 MiB in all; what comes on top goes back to the
// slabs, and from there to the system.
constexpr std::uint32_t depot_slots = 1024;

constexpr std::size_t class_count = node_sizes.size();

constexpr auto batch_sizes = [] {
    std::array<std::uint32_t, class_count> sizes{};
    for (std::size_t i = 0; i < class_count; ++i) {
        sizes[i] = static_cast<std::uint32_t>(batch_bytes / node_sizes[i]);
    }
    return sizes;
}();

/// Full batches of one size class, in slots that never go away, so that taking and giving one is
/// an exchange of slot numbers without a lock. A batch is an array of addresses, not a list through
/// the nodes: who takes nodes can fetch the next ones' lines before it needs them.
class depot {
  public:
    explicit depot(std::size_t size_class)
        : heap_(node_sizes[size_class]),
          batch_(batch_sizes[size_class]),
          slots_(std::make_unique_for_overwrite<token_node*[]>(std::size_t{depot_slots} * batch_)) {
    }

    /// Up to one batch, at least one node.
    /// @throws std::bad_alloc
    [[nodiscard]] std::uint32_t take(token_node** to) {
        if (const auto slot = full_.pop()) {
            std::copy_n(at(*slot), batch_, to);
            empty_.push(*slot);
            return batch_;
        }
        const node_batch fresh = heap_.carve(batch_);
        token_node* each = fresh.head;
        for (std::uint32_t i = 0; i < fresh.count; ++i) {
            to[i] = each;
            each = each->next;
        }
        return fresh.count;
    }

    void give(token_node* const* from, std::uint32_t count) noexcept {
        if (count == batch_) {
            if (const auto slot = empty_.pop()) {
                std::copy_n(from, batch_, at(*slot));
                full_.push(*slot);
                return;
            }
        }
        if (count == 0) return;
        node_batch surplus{.head = nullptr, .count = count};
        for (std::uint32_t i = 0; i < count; ++i) {
            from[i]->next = surplus.head;
            surplus.head = from[i];
        }
        heap_.dissolve(surplus);
    }

    [[nodiscard]] std::size_t bytes() const noexcept { return heap_.bytes(); }
    /// Nodes that threads have, in use or not.
    [[nodiscard]] std::size_t nodes_out() const noexcept {
        return heap_.carved() - std::size_t{full_.size()} * batch_;
    }
    [[nodiscard]] std::mutex& lock() noexcept { return heap_.lock(); }

  private:
    [[nodiscard]] token_node** at(std::uint32_t slot) noexcept {
        return &slots_[std::size_t{slot} * batch_];
    }

    slab_heap heap_;
    const std::uint32_t batch_;
    index_stack full_{depot_slots, false};
    index_stack empty_{depot_slots, true};
    std::unique_ptr<token_node*[]> slots_;
};

// Never destroyed: handles may be dropped by the destructors of static objects.
std::array<depot, class_count>& depots() {
    static_assert(class_count == 7);
    static auto* const all = new std::array<depot, class_count>{
        depot(0), depot(1), depot(2), depot(3), depot(4), depot(5), depot(6)};
    // By itself: if it throws, it is done again, with the same locks.
    [[maybe_unused]] static const bool held = [] {
        for (depot& each : *all) hold_over_fork(each.lock());
        return true;
    }();
    return *all;
}

class thread_cache;

/// Those of all threads.
struct all_caches {
    std::mutex lock;
    thread_cache* first = nullptr;
};

/// One thread's free nodes: for each size class up to two batches, so that a thread that takes and
/// gives around a batch's edge does not go to the depot each time.
class thread_cache {
  public:
    thread_cache() : depots_(depots()) {
        for (std::size_t i = 0; i < class_count; ++i) shelves_[i].capacity = 2 * batch_sizes[i];
        auto& all = only_one<all_caches>();
        const std::scoped_lock guard(all.lock);
        next_ = std::exchange(all.first, this);
        if (next_ != nullptr) next_->previous_ = this;
    }
    ~thread_cache() {
        for (std::size_t i = 0; i < class_count; ++i) {
            shelf& own = shelves_[i];
            const std::uint32_t count = own.count.exchange(0);
            for (std::uint32_t given = 0; given < count; given += batch_sizes[i]) {
                depots_[i].give(own.nodes() + given, std::min(batch_sizes[i], count - given));
            }
        }
        auto& all = only_one<all_caches>();
        const std::scoped_lock guard(all.lock);
        (previous_ == nullptr ? all.first : previous_->next_) = next_;
        if (next_ != nullptr) next_->previous_ = previous_;
    }
    thread_cache(const thread_cache&) = delete;
    thread_cache& operator=(const thread_cache&) = delete;

    [[nodiscard]] token_node* take(std::uint8_t size_class) {
        shelf& own = shelves_[size_class];
        std::uint32_t count = own.count.load(std::memory_order_relaxed);
        if (count == 0) [[unlikely]]
            count = depots_[size_class].take(own.nodes());
        own.count.store(--count, std::memory_order_relaxed);
        token_node** const top = own.nodes() + count;
        // It comes while those before it are used; its last user may have been another core.
        prefetch_to_write(*(top - lead));
        return *top;
    }

    void give(token_node& node, std::uint8_t size_class) noexcept {
        shelf& own = shelves_[size_class];
        std::uint32_t count = own.count.load(std::memory_order_relaxed);
        if (count == own.capacity) [[unlikely]]
            count = unload(size_class);
        own.nodes()[count] = &node;
        own.count.store(count + 1, std::memory_order_relaxed);
    }

    /// Free nodes of a size class that all threads have.
    [[nodiscard]] static std::size_t nodes_of_all(std::size_t size_class) {
        auto& all = only_one<all_caches>();
        const std::scoped_lock guard(all.lock);
        std::size_t sum = 0;
        for (const thread_cache* each = all.first; each != nullptr; each = each->next_) {
            sum += each->shelves_[size_class].count.load(std::memory_order_relaxed);
        }
        return sum;
    }

  private:
    // How far ahead lines are fetched. Chosen by bench P1.
    static constexpr std::ptrdiff_t lead = 8;

    /// The newest on top; the older half goes to the depot when it is full.
    struct shelf {
        /// Relaxed: its thread's own, others only look.
        std::atomic<std::uint32_t> count{0};
        std::uint32_t capacity = 0;
        /// Some nulls, so that take() may look below the bottom.
        std::array<token_node*, lead + 2 * batch_bytes / cache_line> all{};

        [[nodiscard]] token_node** nodes() noexcept { return all.data() + lead; }
    };

    /// How many it leaves.
    [[gnu::cold, gnu::noinline]] std::uint32_t unload(std::uint8_t size_class) noexcept {
        shelf& own = shelves_[size_class];
        const std::uint32_t batch = batch_sizes[size_class];
        depots_[size_class].give(own.nodes(), batch);
        std::copy_n(own.nodes() + batch, batch, own.nodes());
        return batch;
    }

    std::array<shelf, class_count> shelves_{};
    std::array<depot, class_count>& depots_;
    thread_cache* previous_ = nullptr;
    thread_cache* next_ = nullptr;
};

// A plain pointer, so that the usual access is one load; the owner below creates and destroys.
constinit thread_local thread_cache* current_cache = nullptr;

struct cache_owner {
    std::unique_ptr<thread_cache> cache;
    ~cache_owner() { current_cache = nullptr; }
};

// Null while the thread ends: then nodes go straight to and from the depot.
[[gnu::cold, gnu::noinline]] thread_cache* make_cache() {
    static thread_local constinit bool made = false;
    if (made) return nullptr;
    static thread_local cache_owner owner;
    owner.cache = std::make_unique<thread_cache>();
    current_cache = owner.cache.get();
    made = true;
    return current_cache;
}

[[gnu::cold, gnu::noinline]] token_node* take_without_cache(std::uint8_t size_class) {
    if (thread_cache* cache = make_cache()) return cache->take(size_class);
    std::array<token_node*, batch_bytes / cache_line> batch;
    depot& shared = depots()[size_class];
    const std::uint32_t count = shared.take(batch.data());
    shared.give(batch.data() + 1, count - 1);
    return batch[0];
}

// A thread that only frees gets a cache too, unless it is ending or memory is short.
[[gnu::cold, gnu::noinline]] void give_without_cache(token_node& node,
                                                     std::uint8_t size_class) noexcept {
    thread_cache* cache = nullptr;
    try {
        cache = make_cache();
    } catch (const std::bad_alloc&) {
        cache = nullptr;
    }
    if (cache != nullptr) {
        cache->give(node, size_class);
    } else {
        token_node* const only = &node;
        depots()[size_class].give(&only, 1);
    }
}

}  // namespace

token_node* allocate_node(std::uint8_t size_class) {
    thread_cache* const cache = current_cache;
    token_node* const node =
        cache != nullptr ? cache->take(size_class) : take_without_cache(size_class);
    unpoison(node, node_sizes[size_class]);
    return node;
}

void free_node(token_node& node, std::uint8_t size_class) noexcept {
    poison(node, node_sizes[size_class]);
    thread_cache* const cache = current_cache;
    if (cache != nullptr) [[likely]] {
        cache->give(node, size_class);
    } else {
        give_without_cache(node, size_class);
    }
}

pool_usage usage_of_pool() noexcept {
    pool_usage usage;
    for (std::size_t i = 0; i < class_count; ++i) {
        const depot& shared = depots()[i];
        usage.slab_bytes += shared.bytes();
        usage.nodes_out += shared.nodes_out() - thread_cache::nodes_of_all(i);
    }
    return usage;
}

void* allocate_piece(std::size_t bytes) {
    if (bytes > node_sizes.back()) return ::operator new(bytes);
    token_node* const node = allocate_node(size_class_of(bytes));
    node->~token_node();
    return node;
}

void free_piece(void* piece, std::size_t bytes) noexcept {
    if (bytes > node_sizes.back()) {
        ::operator delete(piece);
    } else {
        free_node(*::new (piece) token_node, size_class_of(bytes));
    }
}

}  // namespace tokengate::detail
