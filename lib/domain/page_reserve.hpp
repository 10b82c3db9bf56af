// SPDX-License-Identifier: Apache-2.0
/// @file
/// Memory for the pages of a lane, taken from the system once, at start-up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>

#include "token/index_stack.hpp"

namespace tokengate::detail {

/// Why: when the allocation of a page throws inside tbb::concurrent_queue::push, the queue is left
/// in a state in which a later try_pop crashes (seen with oneTBB 2021.8). A lane never holds more
/// tokens than its capacity, so the number of its pages has a bound, and allocation cannot fail.
class page_reserve {
  public:
    /// The largest page: that of oneTBB 2021.8 for pointers is 272 bytes.
    static constexpr std::size_t page_bytes = 320;

    /// Room for so many pages. The memory is not touched before use.
    /// @throws std::bad_alloc
    explicit page_reserve(std::size_t pages)
        : bytes_(pages * page_bytes),
          memory_(static_cast<std::byte*>(::operator new (bytes_, std::align_val_t{alignment}))),
          free_(static_cast<std::uint32_t>(pages), true) {}

    /// A page. Lock-free.
    [[nodiscard]] void* take() noexcept {
        if (const auto slot = free_.pop()) return memory_.get() + *slot * page_bytes;
        // Serial tokens may go beyond the capacity (lib/gate/README.md), and another oneTBB could
        // have other page sizes.
        if (void* page = ::operator new (page_bytes, std::align_val_t{alignment}, std::nothrow)) {
            return page;
        }
        std::fputs("tokengate: no memory for the tokens of a lane beyond its capacity\n", stderr);
        std::abort();
    }

    /// Gives a page back. Lock-free.
    void give(void* page) noexcept {
        const auto offset = static_cast<std::size_t>(static_cast<std::byte*>(page) - memory_.get());
        if (offset >= bytes_) {
            ::operator delete (page, std::align_val_t{alignment});
            return;
        }
        free_.push(static_cast<std::uint32_t>(offset / page_bytes));
    }

  private:
    static constexpr std::size_t alignment = 64;
    struct release {
        void operator()(std::byte* memory) const noexcept {
            ::operator delete (memory, std::align_val_t{alignment});
        }
    };

    std::size_t bytes_;
    std::unique_ptr<std::byte, release> memory_;
    index_stack free_;
};

/// The allocator that makes a queue take its pages from a reserve.
template <class T>
class reserve_allocator {
  public:
    using value_type = T;

    explicit reserve_allocator(page_reserve& source) noexcept : source_(&source) {}
    template <class U>
    reserve_allocator(const reserve_allocator<U>& other) noexcept : source_(other.source()) {}

    [[nodiscard]] T* allocate(std::size_t) noexcept {
        // Declared for whatever the queue rebinds it to; only single pages are ever allocated.
        static_assert(sizeof(T) <= page_reserve::page_bytes);
        return static_cast<T*>(source_->take());
    }
    void deallocate(T* page, std::size_t) noexcept { source_->give(page); }

    [[nodiscard]] page_reserve* source() const noexcept { return source_; }

    template <class U>
    friend bool operator==(const reserve_allocator& a, const reserve_allocator<U>& b) noexcept {
        return a.source() == b.source();
    }

  private:
    page_reserve* source_;
};

}  // namespace tokengate::detail
