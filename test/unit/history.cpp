// SPDX-License-Identifier: Apache-2.0
// The last executions.
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "telemetry/history.hpp"

namespace tokengate::test {

using detail::execution_record;
using detail::history;

namespace {

execution_record numbered(std::uint64_t id) {
    return {.id = id,
            .operation = "op",
            .outcome = token_state::failed,
            .domain = static_cast<unsigned>(id % 3),
            .start = static_cast<std::int64_t>(id) * 10,
            .wait = static_cast<std::int64_t>(id) * 100,
            .run = static_cast<std::int64_t>(id) * 1000,
            .attempt = static_cast<std::uint32_t>(id + 1)};
}

}  // namespace

TEST_CASE("a_history_has_its_records_newest_first_as_they_were") {
    history past(4);
    CHECK(past.capacity() == 4);
    CHECK(past.snapshot().empty());
    for (std::uint64_t id = 1; id <= 3; ++id) past.push(numbered(id));
    CHECK(past.snapshot() == std::vector{numbered(3), numbered(2), numbered(1)});
}

TEST_CASE("a_full_history_forgets_the_oldest") {
    for (std::size_t capacity = 1; capacity < 8; ++capacity) {
        history past(capacity);
        for (std::uint64_t id = 1; id <= 20; ++id) {
            past.push(numbered(id));
            std::vector<execution_record> expected;
            for (std::uint64_t i = id; i > 0 && expected.size() < capacity; --i) {
                expected.push_back(numbered(i));
            }
            CHECK(past.snapshot() == expected);
        }
    }
}

TEST_CASE("a_history_without_room_keeps_nothing") {
    history past(0);
    past.push(numbered(1));
    CHECK(past.capacity() == 0);
    CHECK(past.snapshot().empty());
}

TEST_CASE("threads_push_whole_records_each_in_its_order") {
    constexpr std::uint64_t each = 2000;
    constexpr std::uint64_t threads = 3;
    // Looks at what is there: no record is torn, and of each thread the later ones come first.
    const auto check = [&](const std::vector<execution_record>& seen) {
        std::vector<std::uint64_t> last(threads, each);
        for (const execution_record& record : seen) {
            REQUIRE(record == numbered(record.id));
            const auto thread = static_cast<std::size_t>(record.id / each);
            REQUIRE(record.id % each < last[thread]);
            last[thread] = record.id % each;
        }
    };
    history past(64);
    std::vector<std::thread> crowd;
    for (std::uint64_t t = 0; t < threads; ++t) {
        crowd.emplace_back([&past, t] {
            for (std::uint64_t i = 0; i < each; ++i) past.push(numbered(t * each + i));
        });
    }
    for (int i = 0; i < 200; ++i) check(past.snapshot());
    for (std::thread& one : crowd) one.join();
    check(past.snapshot());
    CHECK(past.snapshot().size() == 64);
}

}  // namespace tokengate::test
