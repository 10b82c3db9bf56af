// SPDX-License-Identifier: Apache-2.0
/// @file
/// What the templates of loops need: the elements of a range, and a loop over blocks of which the
/// library knows no type.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <ranges>
#include <type_traits>
#include <utility>

#include <tokengate/detail/node.hpp>
#include <tokengate/interval.hpp>
#include <tokengate/weight.hpp>

namespace tokengate {

class affinity;
class runtime;

namespace detail {

/// Whose tokens the blocks are.
enum class loop_kind : std::uint8_t { parallel_for, parallel_reduce };

/// Where the blocks of a loop run.
class loop_place {
  public:
    loop_place(runtime& rt, weight weight_class) noexcept;
    /// In the runtime of the token that executes.
    explicit loop_place(weight weight_class) noexcept : weight_class_(weight_class) {}
    explicit loop_place(const affinity& where) noexcept;

    [[nodiscard]] runtime_core* owner() const noexcept { return runtime_; }
    [[nodiscard]] weight weight_class() const noexcept { return weight_class_; }
    [[nodiscard]] const affinity* where() const noexcept { return where_; }

  private:
    runtime_core* runtime_ = nullptr;  ///< null: that of the token that executes
    weight weight_class_;
    const affinity* where_ = nullptr;  ///< null: anywhere
};

/// A range of so many elements in blocks.
class block_loop {
  public:
    /// Runs a block: its number, and which elements it has, counted from 0.
    using body = void (*)(void* context, std::size_t block, interval elements);

    /// @throws error if there is no runtime, or not as many places as blocks
    block_loop(loop_kind kind, const loop_place& place, std::size_t count, grain_size grain);

    [[nodiscard]] std::size_t blocks() const noexcept { return blocks_; }

    /// The elements of a block, counted from 0.
    [[nodiscard]] interval elements_of(std::size_t block) const noexcept {
        const std::size_t first = block * grain_;
        return {.first = first, .last = count_ - first < grain_ ? count_ : first + grain_};
    }

    /// Makes a token of each block, and returns when all have ended and none runs any more. Then
    /// throws what the first block in order has thrown, of those that have.
    /// @throws as a call of an operation; token_killed; deadlock, and only then blocks may still
    ///         run
    void run(body what, void* context) const;

  private:
    loop_kind kind_;
    loop_place place_;
    runtime_core* runtime_ = nullptr;
    std::size_t count_;
    std::size_t grain_ = 1;
    std::size_t blocks_ = 0;
};

/// How many blocks of so many elements.
[[nodiscard]] constexpr std::size_t blocks_of(std::size_t count, std::size_t grain) noexcept {
    return count == 0 ? 0 : (count - 1) / grain + 1;
}

template <class Range>
concept loop_count =
    std::integral<std::remove_cvref_t<Range>> && !std::same_as<std::remove_cvref_t<Range>, bool>;
template <class Range>
concept loop_interval = std::same_as<std::remove_cvref_t<Range>, interval>;
template <class Range>
concept loop_container = std::ranges::random_access_range<Range> && std::ranges::sized_range<Range>;

/// Numbers from `first` on.
struct loop_numbers {
    std::size_t first = 0;
    std::size_t count = 0;

    [[nodiscard]] std::size_t operator[](std::size_t index) const noexcept { return first + index; }
    [[nodiscard]] interval block(interval elements) const noexcept {
        return {.first = first + elements.first, .last = first + elements.last};
    }
};

/// Elements of a container, whose blocks are intervals of their indices.
template <class Iterator>
struct loop_elements {
    Iterator first;
    std::size_t count = 0;

    [[nodiscard]] decltype(auto) operator[](std::size_t index) const {
        return first[static_cast<std::iter_difference_t<Iterator>>(index)];
    }
    [[nodiscard]] static interval block(interval elements) noexcept { return elements; }
};

/// What a loop goes over.
template <class Range>
[[nodiscard]] auto elements_in(Range& range) {
    if constexpr (loop_count<Range>) {
        return loop_numbers{.count = range > 0 ? static_cast<std::size_t>(range) : 0};
    } else if constexpr (loop_interval<Range>) {
        return loop_numbers{.first = range.first, .count = range.size()};
    } else {
        return loop_elements<std::ranges::iterator_t<Range>>{
            .first = std::ranges::begin(range),
            .count = static_cast<std::size_t>(std::ranges::size(range))};
    }
}
template <class Range>
using elements_type = decltype(elements_in(std::declval<std::remove_reference_t<Range>&>()));
template <class Range>
using element_type = decltype(std::declval<const elements_type<Range>&>()[std::size_t{}]);

/// Elements are asked first: whether a generic lambda takes a block can only be found by compiling
/// it for one.
template <class Body, class Range>
concept takes_elements = std::invocable<Body&, element_type<Range>>;

/// What a body returns for an element, or else for a block.
template <class Body, class Range>
struct loop_value : std::invoke_result<Body&, interval> {};
template <class Body, class Range>
    requires takes_elements<Body, Range>
struct loop_value<Body, Range> : std::invoke_result<Body&, element_type<Range>> {
};

/// Calls what a loop is to do with elements or blocks.
template <class Body, class Elements>
struct for_blocks {
    Body& body;
    const Elements& elements;

    static void run(void* context, std::size_t, interval block) {
        const auto& [body, elements] = *static_cast<const for_blocks*>(context);
        if constexpr (std::invocable<Body&, decltype(elements[0])>) {
            for (std::size_t i = block.first; i < block.last; ++i) std::invoke(body, elements[i]);
        } else {
            std::invoke(body, elements.block(block));
        }
    }
};

}  // namespace detail

}  // namespace tokengate
