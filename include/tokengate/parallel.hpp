// SPDX-License-Identifier: Apache-2.0
/// @file
/// Loops whose blocks are tokens.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <tokengate/affinity.hpp>
#include <tokengate/detail/loop.hpp>
#include <tokengate/interval.hpp>
#include <tokengate/runtime.hpp>
#include <tokengate/weight.hpp>

namespace tokengate {

/// What a loop goes over: so many numbers from 0 up (none if that is negative), an interval of
/// them, or a random-access range of the standard library that knows its size.
template <class Range>
concept loop_range =
    detail::loop_count<Range> || detail::loop_interval<Range> || detail::loop_container<Range>;

/// What a loop does: it can be called with a number or an element of the range or, if not, with a
/// block of it: a tokengate::interval of numbers, which are indices if the range is a container.
/// Several workers call it at once. What it returns is dropped.
template <class Body, class Range>
concept loop_body = detail::takes_elements<Body, Range> || std::invocable<Body&, interval>;

/// What a reduction does: as above, but what it returns for an element or a block converts to T.
template <class Body, class Range, class T>
concept reduce_body = loop_body<Body, Range> &&
    std::convertible_to<typename detail::loop_value<Body, Range>::type, T>;

/// How two values of a reduction make one. Several workers call it at once.
template <class Combine, class T>
concept reduce_combine =
    std::invocable<Combine&, T, T> && std::convertible_to<std::invoke_result_t<Combine&, T, T>, T>;

/// How many blocks a loop over a range has.
/// @param grain  elements in a block, 1 or more
/// @throws error if it is below 1
template <loop_range Range, std::integral Grain>
[[nodiscard]] std::size_t block_count(const Range& range, Grain grain) {
    return detail::blocks_of(detail::elements_in(range).count, grain_size(grain).elements());
}

namespace detail {

template <class Range, class Body>
void run_for(const loop_place& place, Range& range, grain_size grain, Body& body) {
    const auto elements = elements_in(range);
    using blocks = for_blocks<Body, std::remove_const_t<decltype(elements)>>;
    blocks context{.body = body, .elements = elements};
    block_loop(loop_kind::parallel_for, place, elements.count, grain).run(&blocks::run, &context);
}

/// The value of each block, where its number says.
template <class T, class Body, class Combine, class Elements>
struct reduce_blocks {
    Body& body;
    Combine& combine;
    const Elements& elements;
    std::optional<T>* values;

    static void run(void* context, std::size_t number, interval block) {
        const auto& [body, combine, elements, values] = *static_cast<const reduce_blocks*>(context);
        if constexpr (std::invocable<Body&, decltype(elements[0])>) {
            T value = std::invoke(body, elements[block.first]);
            for (std::size_t i = block.first + 1; i < block.last; ++i) {
                value = std::invoke(combine, std::move(value), T(std::invoke(body, elements[i])));
            }
            values[number].emplace(std::move(value));
        } else {
            values[number].emplace(std::invoke(body, elements.block(block)));
        }
    }
};

template <class T, class Range, class Body, class Combine>
[[nodiscard]] T run_reduce(const loop_place& place, Range& range, grain_size grain, T value,
                           Body& body, Combine& combine) {
    const auto elements = elements_in(range);
    const block_loop loop(loop_kind::parallel_reduce, place, elements.count, grain);
    const auto values = std::make_unique<std::optional<T>[]>(loop.blocks());
    using blocks = reduce_blocks<T, Body, Combine, std::remove_const_t<decltype(elements)>>;
    blocks context{.body = body, .combine = combine, .elements = elements, .values = values.get()};
    loop.run(&blocks::run, &context);
    for (std::size_t i = 0; i < loop.blocks(); ++i) {
        value = std::invoke(combine, std::move(value), *std::move(values[i]));
    }
    return value;
}

}  // namespace detail

/// Calls `body` for each element of a range, a block of them at a time, and returns when all is
/// done. From apps/examples/parallel_for.cpp:
/// @code
/// tg::parallel_for(rt, values, grain, [](double& each) { each = 1.0; });
/// @endcode
/// Each block is a token of an operation of the runtime named like "parallel_for (medium)", which
/// is declared when it is first needed; together they are a bulk. So they run where tokens of that
/// weight may, are stolen, paused, killed and counted like any tokens, and must not wait for each
/// other. Inside a chain all of them run in its domain.
///
/// Any thread, a token too: that runs blocks itself, or others, while it waits.
///
/// If a block throws, those that have not begun do not run, and count as failed. When none runs any
/// more, the exception is thrown here: that of the first in the order of the range, if several have
/// thrown.
///
/// Cost: a piece of memory with a byte for each block. About a microsecond for the loop, and some
/// more from outside of tokens, until workers and the caller have been woken; 5 to 300 nanoseconds
/// for a block, the more the fewer there are. No copy of the body is made.
///
/// @param range  see loop_range; an empty one does nothing
/// @param grain  elements in a block; the last one may have fewer
/// @param body   see loop_body
/// @throws what a block throws; as a call of an operation; token_killed if tokens of the loop were
///         killed from outside, when none runs any more; operation_error if there are
///         `operation_limit` operations; deadlock if a block waits for a token that waits for this
///         loop: only then blocks may go on
template <loop_range Range, loop_body<Range> Body>
void parallel_for(runtime& rt, Range&& range, grain_size grain, Body&& body,
                  weight weight_class = weight::medium) {
    detail::run_for({rt, weight_class}, range, grain, body);
}

/// The same inside a token, in the runtime of that. From apps/examples/parallel_for.cpp:
/// @code
/// tg::parallel_for(count, 1, [&](std::size_t row) {
///     tg::parallel_for(row, 100, [&](tg::interval block) { pairs += block.size(); });
/// });
/// @endcode
/// @throws error outside of a token, and as above
template <loop_range Range, loop_body<Range> Body>
void parallel_for(Range&& range, grain_size grain, Body&& body,
                  weight weight_class = weight::medium) {
    detail::run_for(detail::loop_place(weight_class), range, grain, body);
}

/// The same with each block where an affinity says, in its runtime: see tokengate::affinity. Such
/// blocks are single tokens, at the price of those. From apps/examples/parallel_for.cpp:
/// @code
/// tg::parallel_for(values, grain, smooth, homes);  // block i where it was before
/// @endcode
/// @throws error if there are more blocks than the affinity has, and as above
template <loop_range Range, loop_body<Range> Body>
void parallel_for(Range&& range, grain_size grain, Body&& body, const affinity& where) {
    detail::run_for(detail::loop_place(where), range, grain, body);
}

/// Combines what `body` returns for each element of a range, and `identity`, into one value. From
/// apps/examples/parallel_for.cpp:
/// @code
/// const double sum = tg::parallel_reduce(rt, values, grain, 0.0, std::identity(), std::plus<>());
/// @endcode
/// The elements of a block are combined from the left to the right, and so are the values of the
/// blocks, behind `identity`, by the caller, when all are there. So the result depends on the grain
/// but on nothing else, if `body` and `combine` do not: sums of floating-point numbers are the same
/// in each run, on any machine, unless the grain is automatic_grain.
///
/// Blocks are as those of parallel_for(). Cost besides: memory for a value of each block.
///
/// @param identity  what to begin with; the result if the range is empty. The result has its type
/// @param body      for an element: its value. If it can only be called with an interval: the value
///                  of that block
/// @param combine   two values into one; should be associative, and need not be commutative
/// @throws as parallel_for(), and what `combine` throws
template <loop_range Range, std::movable T, reduce_body<Range, T> Body, reduce_combine<T> Combine>
[[nodiscard]] T parallel_reduce(runtime& rt, Range&& range, grain_size grain, T identity,
                                Body&& body, Combine&& combine,
                                weight weight_class = weight::medium) {
    return detail::run_reduce({rt, weight_class}, range, grain, std::move(identity), body, combine);
}

/// The same inside a token, in the runtime of that.
/// @throws error outside of a token, and as above
template <loop_range Range, std::movable T, reduce_body<Range, T> Body, reduce_combine<T> Combine>
[[nodiscard]] T parallel_reduce(Range&& range, grain_size grain, T identity, Body&& body,
                                Combine&& combine, weight weight_class = weight::medium) {
    return detail::run_reduce(detail::loop_place(weight_class), range, grain, std::move(identity),
                              body, combine);
}

/// The same with each block where an affinity says, in its runtime.
/// @throws error if there are more blocks than the affinity has, and as above
template <loop_range Range, std::movable T, reduce_body<Range, T> Body, reduce_combine<T> Combine>
[[nodiscard]] T parallel_reduce(Range&& range, grain_size grain, T identity, Body&& body,
                                Combine&& combine, const affinity& where) {
    return detail::run_reduce(detail::loop_place(where), range, grain, std::move(identity), body,
                              combine);
}

}  // namespace tokengate
