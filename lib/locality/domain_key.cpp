// SPDX-License-Identifier: Apache-2.0
#include "locality/domain_key.hpp"

#include <atomic>

#include <tokengate/detail/key.hpp>

namespace tokengate::detail {

// Relaxed: a number, nothing else.
std::uint64_t next_key_seed() noexcept {
    static constinit std::atomic<unsigned> made{0};
    constexpr unsigned kind = ~0U;  // that of no key_source
    return hash_name("a domain's key", kind, made.fetch_add(1, std::memory_order_relaxed));
}

pinned_key pin_in_domain(sticky_table& keys, std::uint64_t seed, std::size_t number,
                         unsigned domain, unsigned attempts) noexcept {
    for (unsigned tried = 1;; ++tried) {
        const std::uint64_t hash = hash_arguments(seed, number, tried);
        const pin found = keys.acquire(hash, domain);
        if (found.domain == domain || tried == attempts) return {.hash = hash, .where = found};
        keys.release(found.slot);
    }
}

}  // namespace tokengate::detail
