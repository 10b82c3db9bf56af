// SPDX-License-Identifier: Apache-2.0
#include "support/work.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

namespace tokengate::bench {

namespace {

// A function, so that it exists before the registrations of other files run.
std::vector<work>& suite() {
    static std::vector<work> works;
    return works;
}

// "P1b" comes after "P1" and before "P2"; works that have a name come after those with a number.
std::pair<int, std::string_view> order(const work& each) {
    int number = 0;
    const char* end = each.id.data() + each.id.size();
    const auto parsed = std::from_chars(each.id.data() + 1, end, number);
    if (!each.id.starts_with('P') || parsed.ec != std::errc{}) {
        return {std::numeric_limits<int>::max(), each.id};
    }
    return {number, std::string_view(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr))};
}

}  // namespace

void expect_equal(std::string_view what, std::int64_t found, std::int64_t expected) {
    if (found == expected) return;
    throw wrong_result(std::string(what) + ": " + std::to_string(found) + " instead of " +
                       std::to_string(expected));
}

std::string_view to_string(family value) noexcept {
    switch (value) {
        case family::serial: return "serial";
        case family::onetbb: return "oneTBB";
        case family::tokengate: return "TokenGate";
        case family::other: return "others";
    }
    return "unknown";
}

std::string_view to_string(goal::kind value) noexcept {
    switch (value) {
        case goal::kind::time_ratio: return "time_ratio";
        case goal::kind::speed_up: return "speed_up";
        case goal::kind::absolute: return "absolute";
        case goal::kind::flat: return "flat";
    }
    return "unknown";
}

registration::registration(work added) { suite().push_back(std::move(added)); }

std::vector<work> all_works() {
    std::vector<work> sorted = suite();
    std::ranges::sort(sorted, {}, order);
    return sorted;
}

}  // namespace tokengate::bench
