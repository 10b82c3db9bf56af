// SPDX-License-Identifier: Apache-2.0
#include "injection.hpp"

#include <dlfcn.h>
#include <pthread.h>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <limits>

namespace tokengate::test {
namespace {

/// Counts requests, and says which are refused.
class refusal {
  public:
    void begin(const fault& which) noexcept {
        first_ = which.number;
        lasting_ = which.lasting;
        all_threads_ = which.all_threads;
        seen_ = 0;
        bytes_ = 0;
        refused_ = 0;
        who_ = pthread_self();
        on_ = true;
    }
    void end() noexcept { on_ = false; }
    [[nodiscard]] bool refuses(std::size_t bytes = 0) noexcept {
        if (!on_ || !(all_threads_ || pthread_equal(who_, pthread_self()) != 0)) return false;
        bytes_ += bytes;
        const std::uint64_t number = ++seen_;
        if (number != first_ && !(lasting_ && number > first_)) return false;
        ++refused_;
        return true;
    }
    [[nodiscard]] std::uint64_t count() const noexcept { return refused_; }
    [[nodiscard]] std::uint64_t seen() const noexcept { return seen_; }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

  private:
    std::atomic<bool> on_{false};
    std::atomic<pthread_t> who_{};
    std::atomic<std::uint64_t> first_{0};
    std::atomic<bool> lasting_{false};
    std::atomic<bool> all_threads_{false};
    std::atomic<std::uint64_t> seen_{0};
    std::atomic<std::uint64_t> bytes_{0};
    std::atomic<std::uint64_t> refused_{0};
};

constinit refusal memory;
constinit refusal threads;

void* allocate(std::size_t bytes) noexcept {
    if (memory.refuses(bytes)) return nullptr;
    return std::malloc(bytes == 0 ? 1 : bytes);
}

void* allocate(std::size_t bytes, std::align_val_t alignment) noexcept {
    if (memory.refuses(bytes)) return nullptr;
    const auto unit = static_cast<std::size_t>(alignment);
    return std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
}

void* or_throw(void* memory_or_null) {
    if (memory_or_null == nullptr) throw std::bad_alloc();
    return memory_or_null;
}

}  // namespace

refused_memory::refused_memory(const fault& which) noexcept { memory.begin(which); }
refused_memory::~refused_memory() { memory.end(); }
std::uint64_t refused_memory::count() noexcept { return memory.count(); }

counted_memory::counted_memory(bool all_threads) noexcept {
    memory.begin({.number = std::numeric_limits<std::uint64_t>::max(), .all_threads = all_threads});
}
counted_memory::~counted_memory() { memory.end(); }
memory_asked counted_memory::asked() noexcept {
    return {.requests = memory.seen(), .bytes = memory.bytes()};
}

refused_threads::refused_threads(const fault& which) noexcept { threads.begin(which); }
refused_threads::~refused_threads() { threads.end(); }
std::uint64_t refused_threads::count() noexcept { return threads.count(); }

}  // namespace tokengate::test

using tokengate::test::allocate;
using tokengate::test::or_throw;

void* operator new(std::size_t bytes) { return or_throw(allocate(bytes)); }
void* operator new[](std::size_t bytes) { return or_throw(allocate(bytes)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
    return or_throw(allocate(bytes, alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
    return or_throw(allocate(bytes, alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes); }
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return allocate(bytes, alignment);
}
void* operator new[](std::size_t bytes, std::align_val_t alignment,
                     const std::nothrow_t&) noexcept {
    return allocate(bytes, alignment);
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
    std::free(memory);
}
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept {
    std::free(memory);
}

// That of the address sanitizer, if it is there: it must know each thread.
extern "C" [[gnu::weak]] int __interceptor_pthread_create(pthread_t* thread,
                                                          const pthread_attr_t* attributes,
                                                          void* (*start)(void*), void* argument);

// Found before the one of the C library, by the library and by everything else.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*start)(void*), void* argument) noexcept {
    using function = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    if (tokengate::test::threads.refuses()) return EAGAIN;
    static const auto next = __interceptor_pthread_create != nullptr
                                 ? function{__interceptor_pthread_create}
                                 : reinterpret_cast<function>(dlsym(RTLD_NEXT, "pthread_create"));
    return next(thread, attributes, start, argument);
}
