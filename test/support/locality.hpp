// SPDX-License-Identifier: Apache-2.0
/// @file
/// Where tokens run, and what must be left of keys and chains: nothing.
#pragma once

#include <algorithm>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "domain/worker.hpp"
#include "hold.hpp"
#include "ledger.hpp"
#include "scale.hpp"

namespace tokengate::test {

/// The domain whose worker runs the caller; inside tokens only.
inline unsigned here() { return detail::worker::current()->domain_index(); }

/// Checks that an idle runtime holds no key and no chain any more, and that no anchored token has
/// ever run outside its domain.
inline void check_nothing_is_anchored(const runtime& rt) {
    const runtime_stats seen = rt.stats();
    CHECK(seen.locality.pinned_keys == 0);
    CHECK(seen.locality.pinned_tokens == 0);
    CHECK(seen.locality.serial_keys == 0);
    CHECK(seen.locality.open_chains == 0);
    for (const domain_stats& each : seen.domains) CHECK(each.escapes == 0);
}

/// Waits until the runtime is idle, then checks its books and that nothing is anchored. What was
/// killed while it ran lets go of its key and its chain a few steps after its callable has
/// returned.
inline void settle_locality(runtime& rt) {
    settle(rt);
    REQUIRE(eventually([&] {
        const locality_stats held = rt.stats().locality;
        return held.pinned_tokens == 0 && held.serial_keys == 0 && held.open_chains == 0;
    }));
    check_nothing_is_anchored(rt);
}

/// Waits until every worker of a new runtime, which has `spin_time` 0, has gone to sleep: then
/// heavy tokens go to domain 0 first.
inline void await_sleep(const runtime& rt) {
    REQUIRE(eventually([&] {
        const runtime_stats seen = rt.stats();
        return std::all_of(seen.domains.begin(), seen.domains.end(), [&](const domain_stats& each) {
            return each.parked >= rt.settings().workers_per_core;
        });
    }));
}

/// Calls body(config) for each number of domains, and with one and two workers in each. Few places
/// for keys, so that they meet in them.
template <class Body>
void for_each_shape(Body&& body) {
    for (const int cores : widths) {
        for (const int workers : {1, 2}) {
            INFO(cores, " domains of ", workers, " workers");
            body(config{.cores = cores, .workers_per_core = workers, .sticky_slots = 256});
        }
    }
}

}  // namespace tokengate::test
