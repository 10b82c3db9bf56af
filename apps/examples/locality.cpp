// SPDX-License-Identifier: Apache-2.0
// Tokens that belong together run in one domain, where what they share is in the cache. Four ways
// to say what belongs together.
#include <tokengate/tokengate.hpp>

#include <cstddef>
#include <iostream>
#include <string>
#include <vector>

namespace tg = tokengate;

namespace {

int failures = 0;

void expect(bool holds, const char* what) {
    std::cout << (holds ? "yes: " : "NO: ") << what << "\n";
    failures += holds ? 0 : 1;
}

bool in_one_domain(const std::vector<tg::token<void>>& tokens) {
    tg::wait_all(tokens);
    bool same = true;
    for (const auto& each : tokens) same = same && each.domain() == tokens.front().domain();
    return same;
}

}  // namespace

int main() {
    std::vector<double> totals(4);
    std::vector<std::string> journal;
    tg::runtime rt({.cores = 4});

    // Sticky: while one call with these arguments is in flight, equal ones join it in its domain.
    auto scale = rt.operation("scale", {.sticky = tg::sticky::by_arguments()},
                              [&](std::size_t tile) { totals[tile] = 2 * totals[tile] + 1; });
    auto hold = scale.hold(3U);  // not even between two calls does this key move to another domain
    std::vector<tg::token<void>> together;
    for (int i = 0; i < 20; ++i) {
        together.push_back(scale(3U));
        together.back().wait();
    }
    expect(in_one_domain(together), "tokens of a held key share a domain");
    expect(together.front().domain() == hold.domain(), "it is the domain of the hold");

    // Serial: also one at a time, in the order of the calls. So there is no need for a lock.
    auto note =
        rt.operation("note", {.sticky = tg::sticky::by_anchor("journal", tg::sticky::serial)},
                     [&](const std::string& line) { journal.push_back(line); });
    std::vector<tg::token<void>> notes(100);
    for (std::size_t i = 0; i < notes.size(); ++i) notes[i] = note(std::to_string(i));
    tg::wait_all(notes);
    bool in_order = journal.size() == notes.size();
    for (std::size_t i = 0; i < journal.size(); ++i) {
        in_order = in_order && journal[i] == std::to_string(i);
    }
    expect(in_order, "serial tokens run one at a time, in order");

    // A lead: it names what it calls, and whatever is created while it runs stays in its domain.
    auto assemble = rt.operation("assemble", [](std::size_t) {});
    auto solve = rt.operation("solve", {.external_calls = {"assemble"}}, [&](std::size_t parts) {
        std::vector<tg::token<void>> children(parts);
        for (std::size_t i = 0; i < parts; ++i) children[i] = assemble(i);
        return children;
    });
    const auto lead = solve(20U);
    expect(in_one_domain(lead.get()), "what a lead creates shares a domain");
    expect(lead.get().front().domain() == lead.domain(), "it is the domain of the lead");
    expect(lead.get().front().seed() == lead.seed(), "they have one seed");

    return failures == 0 ? 0 : 1;
}
