// SPDX-License-Identifier: Apache-2.0
#include <tokengate/affinity.hpp>

#include <algorithm>
#include <cstdint>
#include <new>
#include <string_view>

#include <tokengate/detail/key.hpp>
#include <tokengate/locality.hpp>

#include "gate/placement.hpp"
#include "locality/domain_key.hpp"
#include "locality/sticky_table.hpp"
#include "runtime_core.hpp"

namespace tokengate {

namespace detail {

namespace {

// How many keys are tried for a block without a name to share.
constexpr unsigned keys_to_try = 8;

pinned_key pin_named(sticky_table& keys, std::uint64_t seed, std::size_t block, unsigned domain) {
    const std::uint64_t hash = hash_arguments(seed, block);
    return {.hash = hash, .where = keys.acquire(hash, domain)};
}

// The domain of the piece of the range that a block is in: as many for each, but for one.
unsigned home_of(std::size_t block, std::size_t blocks, const core_range& among) noexcept {
    const std::size_t domains = among.size();
    const std::size_t least = blocks / domains;
    const std::size_t larger = blocks % domains;  // pieces that have one more, the first ones
    const std::size_t in_larger = larger * (least + 1);
    const std::size_t piece =
        block < in_larger ? block / (least + 1) : larger + (block - in_larger) / least;
    return among.first + static_cast<unsigned>(piece);
}

}  // namespace

}  // namespace detail

affinity::affinity(runtime& rt, std::size_t blocks, weight weight_class, std::string_view name)
    : runtime_(&detail::core_of(rt)), weight_class_(weight_class) {
    if (blocks > places_.max_size()) throw std::bad_alloc();
    places_.reserve(blocks);
    const detail::placement classes(runtime_->chosen());
    detail::sticky_table& keys = runtime_->workers().sticky_keys;
    const std::uint64_t seed = name.empty()
                                   ? detail::next_key_seed()
                                   : detail::key_seed(sticky::by_anchor_and_arguments(name), name);
    for (std::size_t i = 0; i < blocks; ++i) {
        const unsigned domain = detail::home_of(i, blocks, classes.range(weight_class));
        const detail::pinned_key held =
            name.empty() ? detail::pin_in_domain(keys, seed, i, domain, detail::keys_to_try)
                         : detail::pin_named(keys, seed, i, domain);
        places_.push_back({.key = held.hash,
                           .hold = key_hold::adopt({.runtime = runtime_,
                                                    .line = nullptr,
                                                    .slot = held.where.slot,
                                                    .domain = held.where.domain})});
    }
}

}  // namespace tokengate
