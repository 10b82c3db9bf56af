// SPDX-License-Identifier: Apache-2.0
/// @file
/// Tells the address sanitizer which pool memory is free. Without it these are no-ops.
#pragma once

#include <cstddef>

#include <tokengate/detail/node.hpp>

#if defined(__SANITIZE_ADDRESS__)
#define TOKENGATE_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TOKENGATE_ADDRESS_SANITIZER 1
#endif
#endif

#if defined(TOKENGATE_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#endif

namespace tokengate::detail {

/// Makes accesses to a free node an error, but for its link.
inline void poison([[maybe_unused]] token_node& node, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(TOKENGATE_ADDRESS_SANITIZER)
    ASAN_POISON_MEMORY_REGION(&node, offsetof(token_node, next));
    ASAN_POISON_MEMORY_REGION(&node.operation, bytes - offsetof(token_node, operation));
#endif
}

/// Makes memory usable again.
inline void unpoison([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(TOKENGATE_ADDRESS_SANITIZER)
    ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
#endif
}

}  // namespace tokengate::detail
