// SPDX-License-Identifier: Apache-2.0
/// @file
/// Blocks of loops that meet the same core in each sweep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <tokengate/key_hold.hpp>
#include <tokengate/runtime.hpp>
#include <tokengate/weight.hpp>

namespace tokengate {

/// Where the blocks of a loop run, for loops that go over the same data again and again: block i
/// has a sticky key, held in one domain for as long as this lives, so that what it works on stays
/// in the cache of that core. Neighbours share a domain: each gets a piece of the range in one
/// piece, all of the same size. From apps/examples/parallel_for.cpp:
/// @code
/// const std::size_t blocks = tg::block_count(values, grain);
/// const tg::affinity homes(rt, blocks);
/// @endcode
///
/// Nobody steals such blocks, whatever else is idle: for sweeps that use what they find in the
/// cache, with blocks that take the same time. All affinities of a runtime with as many blocks and
/// the same weight agree on where block i is, as far as places for keys suffice (`sticky_slots`).
///
/// Any loops, also several at a time, of any threads, may use it. It must not outlive its runtime.
/// oneTBB's word for it is affinity_partitioner, which only prefers such places.
class affinity {
  public:
    /// Holds nothing.
    affinity() noexcept = default;

    /// Holds a key for each block.
    /// @param weight_class  of all loops that use this. Heavy ones have all domains; others leave
    ///                      the first to heavy tokens, and with two domains all blocks are in one
    /// @param name  block i has the key of calls with the argument `std::size_t(i)` of operations
    ///              that are sticky::by_anchor_and_arguments(name), which thus run in the same
    ///              domain; empty: keys of its own. From apps/examples/heat.cpp:
    /// @code
    /// const tg::affinity homes(rt, bands, tg::weight::heavy, "band");  // neighbours together
    /// @endcode
    /// @throws std::bad_alloc. Cost: some 50 ns a block.
    affinity(runtime& rt, std::size_t blocks, weight weight_class = weight::heavy,
             std::string_view name = {});

    /// How many blocks have a place. A loop may have fewer.
    [[nodiscard]] std::size_t size() const noexcept { return places_.size(); }

    /// Where a block runs.
    /// @param block  below size()
    [[nodiscard]] unsigned domain(std::size_t block) const noexcept {
        return places_[block].hold.domain();
    }

    /// The weight class of loops that use this.
    [[nodiscard]] weight weight_class() const noexcept { return weight_class_; }

    /// Whose domains these are, null if it holds nothing; for the library.
    [[nodiscard]] detail::runtime_core* owner() const noexcept { return runtime_; }

    /// The hash of the key of a block; for the library.
    [[nodiscard]] std::uint64_t key(std::size_t block) const noexcept { return places_[block].key; }

  private:
    struct place {
        std::uint64_t key = 0;
        key_hold hold;
    };

    detail::runtime_core* runtime_ = nullptr;
    weight weight_class_ = weight::heavy;
    std::vector<place> places_;
};

}  // namespace tokengate
