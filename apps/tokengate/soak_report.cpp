// SPDX-License-Identifier: Apache-2.0
#include "soak_report.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "measure.hpp"

namespace tokengate::app {
namespace {

unsigned long long printed(std::uint64_t value) { return value; }

/// What one number has more than another one; 0 if that is not so.
std::uint64_t beyond(std::uint64_t value, std::uint64_t limit) {
    return value > limit ? value - limit : 0;
}

double rate_of(const soak_result& result) {
    return ratio(static_cast<double>(result.stats.total().accepted), result.seconds);
}

bool exact(const soak_result& result) { return all_hold(result.ledger); }

}  // namespace

void soak_result::read_ledger(soak_field& field) {
    ledger.clear();
    for (std::size_t which = 0; which < field.size(); ++which) {
        const soak_count& mine = field.count(which);
        const operation_stats& theirs = stats.operations.at(which);
        const token_counts& counts = theirs.counts;
        const std::string of = " of '" + field.kind(which).name + "'";
        // Relaxed: nobody counts any more.
        const auto read = [](const std::atomic<std::uint64_t>& count) {
            return count.load(std::memory_order_relaxed);
        };
        ledger.push_back({.what = "ends" + of,
                          .expected = counts.accepted,
                          .found = counts.accepted - counts.in_flight()});
        // Of bulks that were turned away at a stop a part may have been accepted.
        const std::uint64_t sure = read(mine.accepted);
        ledger.push_back({.what = "tokens accepted" + of,
                          .expected = std::clamp(counts.accepted, sure, sure + read(mine.unsure)),
                          .found = counts.accepted});
        ledger.push_back(
            {.what = "executions" + of, .expected = read(mine.begun), .found = theirs.executions});
        ledger.push_back({.what = "tokens completed without a callable that has returned" + of,
                          .found = beyond(counts.completed, read(mine.returned))});
        ledger.push_back(
            {.what = "tokens failed or retried without a callable that has thrown" + of,
             .found = beyond(counts.failed + theirs.retries, read(mine.thrown))});
    }
    token_counts sum;
    for (const operation_stats& each : stats.operations) sum += each.counts;
    const token_counts all = stats.total();
    ledger.push_back({.what = "tokens accepted of all operations",
                      .expected = all.accepted,
                      .found = sum.accepted});
    ledger.push_back({.what = "tokens completed of all operations",
                      .expected = all.completed,
                      .found = sum.completed});
    ledger.push_back(
        {.what = "tokens failed of all operations", .expected = all.failed, .found = sum.failed});
    ledger.push_back(
        {.what = "tokens killed of all operations", .expected = all.killed, .found = sum.killed});
    ledger.push_back({.what = "tokens timed out of all operations",
                      .expected = all.timed_out,
                      .found = sum.timed_out});
    std::uint64_t executed = 0;
    for (const domain_stats& each : stats.domains) {
        for (const std::uint64_t count : each.executed) executed += count;
    }
    ledger.push_back(
        {.what = "executions in all domains", .expected = executions(), .found = executed});
}

std::uint64_t soak_result::retries() const {
    std::uint64_t sum = 0;
    for (const operation_stats& each : stats.operations) sum += each.retries;
    return sum;
}

std::uint64_t soak_result::executions() const {
    std::uint64_t sum = 0;
    for (const operation_stats& each : stats.operations) sum += each.executions;
    return sum;
}

std::vector<expectation> soak_result::expectations() const {
    std::vector<expectation> all{
        {.what = "tokens that a wait left unfinished", .found = calls.unresolved},
        {.what = "wrong outcomes or values", .found = wrong},
        {.what = "tokens out of order on a serial key", .found = disorder},
        {.what = "tokens side by side on a serial key", .found = side_by_side},
        {.what = "escapes", .found = escapes_of(stats)},
        {.what = "keys, pins and chains left in the end", .found = left.keys},
        {.what = "open chains in the end", .found = left.chains},
        {.what = "tokens set aside in the end", .found = left.set_aside},
        {.what = "permits of storage in use in the end", .found = left.permits},
        {.what = "arguments and results left in the end", .found = left.objects},
    };
    all.insert(all.end(), ledger.begin(), ledger.end());
    return all;
}

void print_soak(const soak_result& result) {
    const table operations({{"operation", -24},
                            {"accepted", 9},
                            {"completed", 9},
                            {"failed", 8},
                            {"killed", 8},
                            {"timed out", 9},
                            {"retries", 8},
                            {"refused", 8}});
    operations.print_header();
    for (const operation_stats& each : result.stats.operations) {
        const token_counts& counts = each.counts;
        operations.print_row({std::string(each.name), std::to_string(counts.accepted),
                              std::to_string(counts.completed), std::to_string(counts.failed),
                              std::to_string(counts.killed), std::to_string(counts.timed_out),
                              std::to_string(each.retries), std::to_string(counts.refused)});
    }
    const soak_interference& done = result.done;
    std::printf("\ncalls    %s by %s in %s, %llu turned away while stopped\n",
                count_text(result.calls.calls, "call").c_str(),
                count_text(result.threads, "thread").c_str(), duration_text(result.seconds).c_str(),
                printed(result.calls.turned_away));
    std::printf("pauses   %llu, resumes %llu\n", printed(done.pauses), printed(done.resumes));
    std::printf("kills    %llu by token; %llu of operations, of %s; %llu cancels, of %s\n",
                printed(result.calls.kills), printed(done.kills),
                count_text(done.killed, "token").c_str(), printed(done.cancels),
                count_text(done.cancelled, "token").c_str());
    std::printf("stops    %llu, which killed %s\n", printed(done.stops),
                count_text(done.stop_kills, "token").c_str());
    std::printf("storage  %s of limits\n", count_text(done.limit_changes, "change").c_str());
    std::printf("waits    %llu inside of tokens could never have ended and were refused\n",
                printed(result.deadlocks));
    const settings& limits = result.limits;
    std::printf(
        "limits   %u domains of %u workers, %zu tokens a lane, %zu in flight, %zu a deque, "
        "%zu sticky slots\n",
        limits.cores, limits.workers_per_core, limits.mailbox_capacity, limits.in_flight_limit,
        limits.deque_capacity, limits.sticky_slots);
    const token_counts all = result.stats.total();
    std::printf("\n%llu tokens, %s a second, seed %llu\n", printed(all.accepted),
                number_text(rate_of(result)).c_str(), printed(result.seed));
    std::printf("%llu unresolved, %llu escapes, %llu leaked, ledger %s: %s\n",
                printed(result.calls.unresolved), printed(escapes_of(result.stats)),
                printed(result.left.sum()), exact(result) ? "exact" : "NOT exact",
                result.verified() ? "everything ended as it should" : "NOT verified");
}

json soak_json(const soak_result& result) {
    json operations = json::array();
    for (const operation_stats& each : result.stats.operations) {
        operations.push_back({{"operation", std::string(each.name)},
                              {"weight", std::string(to_string(each.weight_class))},
                              {"accepted", each.counts.accepted},
                              {"completed", each.counts.completed},
                              {"failed", each.counts.failed},
                              {"killed", each.counts.killed},
                              {"timed_out", each.counts.timed_out},
                              {"refused", each.counts.refused},
                              {"executions", each.executions},
                              {"retries", each.retries}});
    }
    json ledger = "exact";
    if (!exact(result)) {
        ledger = json::array();
        for (const expectation& each : result.ledger) {
            if (each.holds()) continue;
            ledger.push_back(
                {{"what", each.what}, {"expected", each.expected}, {"found", each.found}});
        }
    }
    const token_counts all = result.stats.total();
    const soak_interference& done = result.done;
    return {{"seconds", result.seconds},
            {"seed", result.seed},
            {"threads", result.threads},
            {"cores", result.limits.cores},
            {"workers_per_core", result.limits.workers_per_core},
            {"mailbox_capacity", result.limits.mailbox_capacity},
            {"in_flight_limit", result.limits.in_flight_limit},
            {"deque_capacity", result.limits.deque_capacity},
            {"sticky_slots", result.limits.sticky_slots},
            {"calls", result.calls.calls},
            {"turned_away", result.calls.turned_away},
            {"tokens", all.accepted},
            {"tokens_per_second", rate_of(result)},
            {"completed", all.completed},
            {"failed", all.failed},
            {"killed", all.killed},
            {"timed_out", all.timed_out},
            {"refused", all.refused},
            {"executions", result.executions()},
            {"retries", result.retries()},
            {"resolved", result.calls.resolved},
            {"holds", result.calls.holds},
            {"kills", result.calls.kills + done.kills},
            {"cancels", done.cancels},
            {"pauses", done.pauses},
            {"resumes", done.resumes},
            {"stops", done.stops},
            {"stop_kills", done.stop_kills},
            {"late_starts", done.late_starts},
            {"limit_changes", done.limit_changes},
            {"refused_waits", result.deadlocks},
            {"short_of_reserves", result.stats.locality.short_of_reserves},
            {"unresolved", result.calls.unresolved},
            {"wrong", result.wrong},
            {"disorder", result.disorder + result.side_by_side},
            {"escapes", escapes_of(result.stats)},
            {"leaked", result.left.sum()},
            {"ledger", std::move(ledger)},
            {"verified", result.verified()},
            {"operations", std::move(operations)}};
}

}  // namespace tokengate::app
