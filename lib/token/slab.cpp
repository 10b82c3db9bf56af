// SPDX-License-Identifier: Apache-2.0
#include "token/slab.hpp"

#include <sys/mman.h>
#include <new>

#include "token/poison.hpp"

namespace tokengate::detail {

namespace {

// One huge page: a load that goes through many nodes pays one page fault for each slab instead of
// five hundred (bench P2). The system may serve it with small pages, which are touched only as
// nodes are cut.
constexpr std::size_t slab_bytes = std::size_t{1} << 21U;

// Memory of `slab_bytes`, aligned to its size, so that a node finds its slab by its address.
void* map_slab() {
    void* raw =
        mmap(nullptr, 2 * slab_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) throw std::bad_alloc();
    auto* start = static_cast<std::byte*>(raw);
    const std::size_t before =
        (slab_bytes - reinterpret_cast<std::uintptr_t>(raw) % slab_bytes) % slab_bytes;
    if (before != 0) munmap(start, before);
    munmap(start + before + slab_bytes, slab_bytes - before);
    // Advice: without huge pages everything works the same.
    static_cast<void>(madvise(start + before, slab_bytes, MADV_HUGEPAGE));
    return start + before;
}

}  // namespace

/// The first node's room at the start of each block.
struct slab_heap::slab {
    token_node* free = nullptr;   ///< nodes that came back
    std::uint32_t fresh = 0;      ///< nodes never cut, at the end of the block
    std::uint32_t available = 0;  ///< both together
    std::uint32_t total = 0;
    slab* previous = nullptr;
    slab* next = nullptr;
    bool linked = false;

    static slab& of(token_node* node) noexcept {
        const auto address = reinterpret_cast<std::uintptr_t>(node);
        return *reinterpret_cast<slab*>(address - address % slab_bytes);
    }

    token_node* take(std::size_t node_bytes) noexcept {
        --available;
        if (free != nullptr) {
            token_node* node = free;
            free = node->next;
            return node;
        }
        // Fresh nodes are cut from the front; slot 0 is the header.
        const std::size_t slot = 1 + total - fresh;
        --fresh;
        void* where = reinterpret_cast<std::byte*>(this) + slot * node_bytes;
        return ::new (where) token_node();
    }
};

slab_heap::slab& slab_heap::add_slab() {
    static_assert(sizeof(slab) <= 64, "the header fits the smallest node");
    auto* fresh = ::new (map_slab()) slab();
    fresh->total = static_cast<std::uint32_t>(slab_bytes / node_bytes_ - 1);
    fresh->fresh = fresh->total;
    fresh->available = fresh->total;
    ++slabs_;
    link(*fresh);
    return *fresh;
}

void slab_heap::link(slab& which) noexcept {
    which.previous = nullptr;
    which.next = usable_;
    if (usable_ != nullptr) usable_->previous = &which;
    usable_ = &which;
    which.linked = true;
}

void slab_heap::unlink(slab& which) noexcept {
    if (which.previous != nullptr) which.previous->next = which.next;
    if (which.next != nullptr) which.next->previous = which.previous;
    if (usable_ == &which) usable_ = which.next;
    which.linked = false;
}

node_batch slab_heap::carve(std::uint32_t wanted) {
    const std::scoped_lock guard(lock_);
    slab& source = usable_ != nullptr ? *usable_ : add_slab();
    node_batch batch;
    while (batch.count < wanted && source.available > 0) {
        token_node* node = source.take(node_bytes_);
        node->next = batch.head;
        batch.head = node;
        ++batch.count;
    }
    if (source.available == 0) unlink(source);
    carved_ += batch.count;
    return batch;
}

void slab_heap::dissolve(node_batch batch) noexcept {
    const std::scoped_lock guard(lock_);
    carved_ -= batch.count;
    while (batch.head != nullptr) {
        token_node* node = batch.head;
        batch.head = node->next;
        slab& home = slab::of(node);
        node->next = home.free;
        home.free = node;
        ++home.available;
        if (!home.linked) link(home);
        // One empty slab stays, so that a load around its edge does not map and unmap each time.
        const bool another = home.previous != nullptr || home.next != nullptr;
        if (home.available == home.total && another) {
            unlink(home);
            --slabs_;
            unpoison(&home, slab_bytes);
            munmap(&home, slab_bytes);
        }
    }
}

std::size_t slab_heap::bytes() const noexcept {
    const std::scoped_lock guard(lock_);
    return slabs_ * slab_bytes;
}

std::size_t slab_heap::carved() const noexcept {
    const std::scoped_lock guard(lock_);
    return carved_;
}

}  // namespace tokengate::detail
