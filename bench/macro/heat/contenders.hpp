// SPDX-License-Identifier: Apache-2.0
/// @file
/// Who takes part in P12. Each file of contenders defines some of these entries.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "macro/heat/plate.hpp"
#include "support/work.hpp"

namespace tokengate::bench::heat {

/// How large the plate is, next to the caches of this machine.
enum class scale : std::uint8_t {
    l2,      ///< fits the L2 caches of as many cores as there are threads
    l3,      ///< fits an L3 cache
    memory,  ///< fits none
};

/// The plate for a scale: its tiles, and how large they are.
[[nodiscard]] extent extent_of(scale wanted, unsigned threads) noexcept;

/// What all contenders have in common: the plate, and whether it is right in the end.
class stepper : public contender {
  public:
    stepper(const setting& given, scale wanted);

    /// New memory for each repetition, touched first by whoever heat_up() chooses.
    void prepare() final;

    /// Compares with what one thread got, bit by bit.
    void verify() override;

  protected:
    /// Calls field().heat_up() for each tile, where its time steps will be taken.
    virtual void heat_up() = 0;

    [[nodiscard]] plate& field() noexcept { return *field_; }
    [[nodiscard]] const extent& size() const noexcept { return size_; }
    [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
    [[nodiscard]] std::uint64_t tile_steps() const noexcept { return steps_ * size_.tiles(); }

  private:
    extent size_;
    std::uint64_t steps_;
    std::uint64_t expected_;
    std::unique_ptr<plate> field_;
};

/// One thread, tile by tile.
class serial : public stepper {
  public:
    using stepper::stepper;
    void run() override;

  protected:
    void heat_up() override;
};

/// A class of contenders at a scale.
template <class C, scale Scale>
class at_scale : public C {
  public:
    explicit at_scale(const setting& given) : C(given, Scale) {}
};

/// Adds the contenders of one family to a work.
void add_onetbb(scale wanted, std::vector<entry>& contenders);
void add_tokengate(scale wanted, std::vector<entry>& contenders);

/// Enters a class at a scale that is known at run time only.
template <class C>
[[nodiscard]] entry enter_at(scale wanted, std::string_view name, family owner) {
    switch (wanted) {
        case scale::l2: return enter<at_scale<C, scale::l2>>(name, owner);
        case scale::l3: return enter<at_scale<C, scale::l3>>(name, owner);
        default: return enter<at_scale<C, scale::memory>>(name, owner);
    }
}

}  // namespace tokengate::bench::heat
