// SPDX-License-Identifier: Apache-2.0
/// @file
/// Work dealt to threads beforehand.
#pragma once

#include <cstdint>
#include <thread>
#include <vector>

namespace tokengate::bench {

/// Calls body(i) for each i below `count` on as many threads, the caller one of them: each has an
/// equal share, and nothing is scheduled. It shows what the machine has to give; two virtual CPUs
/// need not be twice one.
template <class Body>
void split_evenly(unsigned threads, std::uint64_t count, const Body& body) {
    const auto do_part = [&](std::uint64_t part) {
        const std::uint64_t end = count * (part + 1) / threads;
        for (std::uint64_t i = count * part / threads; i < end; ++i) body(i);
    };
    std::vector<std::jthread> helpers;
    for (unsigned part = 1; part < threads; ++part) {
        helpers.emplace_back([&do_part, part] { do_part(part); });
    }
    do_part(0);
}

}  // namespace tokengate::bench
