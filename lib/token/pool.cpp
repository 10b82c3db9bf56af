// SPDX-License-Identifier: Apache-2.0
#include "token/pool.hpp"

#include <memory>
#include <new>
#include <utility>

#include "token/fork_lock.hpp"
#include "token/index_stack.hpp"
#include "token/poison.hpp"
#include "token/prefetch.hpp"
#include "token/slab.hpp"

namespace tokengate::detail {

namespace {

static_assert(node_sizes.back() == largest_pooled);
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
/// an exchange of slot numbers without a lock.
class depot {
  public:
    explicit depot(std::size_t size_class)
        : heap_(node_sizes[size_class]), batch_(batch_sizes[size_class]) {}

    [[nodiscard]] node_batch take() {
        if (const auto slot = full_.pop()) {
            const node_batch batch = slots_[*slot];
            empty_.push(*slot);
            return batch;
        }
        return heap_.carve(batch_);
    }

    void give(node_batch batch) noexcept {
        if (batch.count == batch_) {
            if (const auto slot = empty_.pop()) {
                slots_[*slot] = batch;
                full_.push(*slot);
                return;
            }
        }
        if (batch.head != nullptr) heap_.dissolve(batch);
    }

    [[nodiscard]] std::size_t bytes() const noexcept { return heap_.bytes(); }
    [[nodiscard]] std::mutex& lock() noexcept { return heap_.lock(); }

  private:
    slab_heap heap_;
    const std::uint32_t batch_;
    index_stack full_{depot_slots, false};
    index_stack empty_{depot_slots, true};
    std::array<node_batch, depot_slots> slots_{};
};

// Never destroyed: handles may be dropped by the destructors of static objects.
std::array<depot, class_count>& depots() {
    static auto* const all = [] {
        static_assert(class_count == 6);
        auto* made = new std::array<depot, class_count>{depot(0), depot(1), depot(2),
                                                        depot(3), depot(4), depot(5)};
        for (depot& each : *made) hold_over_fork(each.lock());
        return made;
    }();
    return *all;
}

/// One thread's free nodes: for each size class the batch in use and one spare, so that a thread
/// that takes and gives around a batch's edge does not go to the depot each time.
class thread_cache {
  public:
    thread_cache() : depots_(depots()) {}
    ~thread_cache() {
        for (std::size_t i = 0; i < class_count; ++i) {
            depots_[i].give(shelves_[i].loaded);
            depots_[i].give(shelves_[i].spare);
        }
    }
    thread_cache(const thread_cache&) = delete;
    thread_cache& operator=(const thread_cache&) = delete;

    [[nodiscard]] token_node* take(std::uint8_t size_class) {
        shelf& own = shelves_[size_class];
        if (own.loaded.head == nullptr) [[unlikely]]
            reload(size_class);
        token_node* node = own.loaded.head;
        own.loaded.head = node->next;
        --own.loaded.count;
        // It comes while this one is used; its last user may have been another core.
        prefetch_to_write(own.loaded.head);
        return node;
    }

    void give(token_node& node, std::uint8_t size_class) noexcept {
        shelf& own = shelves_[size_class];
        if (own.loaded.count == batch_sizes[size_class]) [[unlikely]]
            unload(size_class);
        node.next = own.loaded.head;
        own.loaded.head = &node;
        ++own.loaded.count;
    }

  private:
    struct shelf {
        node_batch loaded;
        node_batch spare;
    };

    [[gnu::cold, gnu::noinline]] void reload(std::uint8_t size_class) {
        shelf& own = shelves_[size_class];
        std::swap(own.loaded, own.spare);
        if (own.loaded.head == nullptr) own.loaded = depots_[size_class].take();
    }
    [[gnu::cold, gnu::noinline]] void unload(std::uint8_t size_class) noexcept {
        shelf& own = shelves_[size_class];
        std::swap(own.loaded, own.spare);
        if (own.loaded.count == 0) return;
        depots_[size_class].give(own.loaded);
        own.loaded = {};
    }

    std::array<shelf, class_count> shelves_{};
    std::array<depot, class_count>& depots_;
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
    depot& shared = depots()[size_class];
    const node_batch batch = shared.take();
    shared.give({.head = batch.head->next, .count = batch.count - 1});
    return batch.head;
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
        node.next = nullptr;
        depots()[size_class].give({.head = &node, .count = 1});
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
    for (const depot& each : depots()) usage.slab_bytes += each.bytes();
    return usage;
}

}  // namespace tokengate::detail
