// SPDX-License-Identifier: Apache-2.0
#include "chain_report.hpp"

#include <cstdio>
#include <utility>

#include "measure.hpp"

namespace tokengate::app {
namespace {

double rate_of(const chain_phase& phase) {
    return ratio(static_cast<double>(phase.tokens), phase.seconds);
}

}  // namespace

chain_phase chain_result::total() const {
    chain_phase sum{.name = "total"};
    for (const chain_phase& each : phases) {
        sum.leads += each.leads;
        sum.nested += each.nested;
        sum.tokens += each.tokens;
        sum.completed += each.completed;
        sum.failed += each.failed;
        sum.killed += each.killed;
        sum.misses += each.misses;
        sum.seed_misses += each.seed_misses;
        sum.twins += each.twins;
        sum.wrong += each.wrong;
        sum.seconds += each.seconds;
    }
    return sum;
}

std::vector<expectation> chain_result::expectations() const {
    const chain_phase all = total();
    const token_counts counts = stats.total();
    return {
        {.what = "misses", .found = all.misses},
        {.what = "tokens with another seed than their chain's", .found = all.seed_misses},
        {.what = "chains with the seed of another", .found = all.twins},
        {.what = "escapes", .found = escapes_of(stats)},
        {.what = "keys, pins and chains left in the end", .found = left_of(stats.locality)},
        {.what = "open chains in the end", .found = left_open},
        {.what = "wrong outcomes or values", .found = all.wrong + load.wrong},
        {.what = "tokens accepted",
         .expected = all.tokens + load.free_tokens,
         .found = counts.accepted},
        {.what = "tokens completed, failed or killed",
         .expected = counts.accepted,
         .found = counts.completed + counts.failed + counts.killed},
        {.what = "tokens completed",
         .expected = all.completed + load.free_tokens,
         .found = counts.completed},
        {.what = "tokens failed", .expected = all.failed, .found = counts.failed},
        {.what = "tokens killed", .expected = all.killed, .found = counts.killed},
        {.what = "tokens killed by calls of kill()", .expected = load.kills, .found = all.killed},
    };
}

void print_chain(const chain_result& result) {
    const table phases({{"phase", -7},
                        {"leads", 6},
                        {"nested", 6},
                        {"tokens", 8},
                        {"failed", 7},
                        {"killed", 7},
                        {"wall", 8},
                        {"tokens/s", 9},
                        {"misses", 6},
                        {"seeds", 6}});
    phases.print_header();
    for (const chain_phase& each : result.phases) {
        phases.print_row({std::string(each.name), std::to_string(each.leads),
                          std::to_string(each.nested), std::to_string(each.tokens),
                          std::to_string(each.failed), std::to_string(each.killed),
                          duration_text(each.seconds), number_text(rate_of(each)),
                          std::to_string(each.misses), std::to_string(each.seed_misses)});
    }
    std::printf(
        "\nfailed and killed ones are so by plan. seeds: tokens with another seed than their "
        "chain's.\n");

    const chain_load& load = result.load;
    std::printf("\nload     %s of all classes beside the chains; up to %s seen open\n",
                count_text(load.free_tokens, "free token").c_str(),
                count_text(load.most_open, "chain").c_str());
    std::printf(
        "waits    %s inside of tokens, %s of which could never have ended and were "
        "refused\n",
        count_text(load.waits, "wait").c_str(),
        std::to_string(load.refused_waits + load.refused_parents).c_str());
    std::vector<std::uint64_t> anchored;
    for (const domain_stats& each : result.stats.domains) anchored.push_back(each.anchored);
    print_domains(result.stats, "chain tokens run", anchored);
    if (const auto shortages = result.stats.locality.short_of_reserves) {
        std::printf("         %llu times no thread was left to stand in for a blocked one\n",
                    static_cast<unsigned long long>(shortages));
    }

    const chain_phase all = result.total();
    std::printf("\n%llu tokens in %s, %llu misses, %llu escapes, %llu leaked: %s\n",
                static_cast<unsigned long long>(all.tokens),
                count_text(all.leads + all.nested, "chain").c_str(),
                static_cast<unsigned long long>(all.misses),
                static_cast<unsigned long long>(escapes_of(result.stats)),
                static_cast<unsigned long long>(left_of(result.stats.locality)),
                result.verified() ? "every chain kept its domain and its seed" : "NOT verified");
}

json chain_json(const chain_result& result) {
    const auto fields_of = [](const chain_phase& phase) -> json {
        return {{"leads", phase.leads},      {"nested", phase.nested},
                {"tokens", phase.tokens},    {"completed", phase.completed},
                {"failed", phase.failed},    {"killed", phase.killed},
                {"misses", phase.misses},    {"seed_misses", phase.seed_misses},
                {"twin_seeds", phase.twins}, {"wrong", phase.wrong},
                {"seconds", phase.seconds},  {"tokens_per_second", rate_of(phase)}};
    };
    json phases = json::array();
    for (const chain_phase& each : result.phases) {
        json phase{{"phase", std::string(each.name)}};
        phase.update(fields_of(each));
        phases.push_back(std::move(phase));
    }
    json domains = json::array();
    for (std::size_t i = 0; i < result.stats.domains.size(); ++i) {
        const domain_stats& each = result.stats.domains[i];
        domains.push_back({{"domain", i}, {"anchored", each.anchored}, {"workers", each.workers}});
    }
    json all = fields_of(result.total());
    all.update({{"escapes", escapes_of(result.stats)},
                {"leaked", left_of(result.stats.locality)},
                {"left_open", result.left_open},
                {"free_tokens", result.load.free_tokens},
                {"most_open", result.load.most_open},
                {"waits", result.load.waits},
                {"refused_waits", result.load.refused_waits},
                {"refused_parents", result.load.refused_parents},
                {"kills", result.load.kills},
                {"short_of_reserves", result.stats.locality.short_of_reserves},
                {"verified", result.verified()},
                {"phases", std::move(phases)},
                {"domains", std::move(domains)}});
    return all;
}

}  // namespace tokengate::app
