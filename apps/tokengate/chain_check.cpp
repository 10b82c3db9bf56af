// SPDX-License-Identifier: Apache-2.0
#include "chain_check.hpp"

#include <cryptopp/filters.h>
#include <cryptopp/hex.h>
#include <cryptopp/sha.h>

namespace tokengate::app {

std::string seed_of(std::uint64_t id, std::string_view calls, std::size_t digits) {
    CryptoPP::SHA256 hash;
    std::string text;
    const std::string source = std::to_string(id) + ':' + std::string(calls);
    // Crypto++ deletes what it is given here.
    const CryptoPP::StringSource filter(
        source, true,
        new CryptoPP::HashFilter(hash,
                                 new CryptoPP::HexEncoder(new CryptoPP::StringSink(text), false)));
    return text.substr(0, digits);
}

std::string chain_checker::check_lead(const detail::token_handle& lead, std::string_view calls,
                                      std::size_t digits) {
    std::string seed = seed_of(lead.id(), calls, digits);
    if (!seeds_.insert(lead.seed()).second) {
        ++phase_.twins;
        note(lead, "has the seed of another chain, '" + lead.seed() + "'");
    }
    return seed;
}

void chain_checker::check_member(const detail::token_handle& member, unsigned domain,
                                 const std::string& seed, std::optional<unsigned> thread) {
    ++phase_.tokens;
    switch (member.state()) {
        case token_state::completed: ++phase_.completed; break;
        case token_state::failed: ++phase_.failed; break;
        case token_state::killed: ++phase_.killed; break;
        default: wrong(member, "has not ended"); break;
    }
    if (member.domain() != domain) {
        ++phase_.misses;
        note(member, "was in domain " + std::to_string(member.domain()) +
                         ", its chain belongs to domain " + std::to_string(domain));
    } else if (thread && !seen_.saw(*thread, domain)) {
        ++phase_.misses;
        note(member, "ran on a thread that is not of its chain's domain " + std::to_string(domain));
    }
    if (const std::string has = member.seed(); has != seed) {
        ++phase_.seed_misses;
        note(member, "has the seed '" + has + "', its chain has '" + seed + "'");
    }
}

void chain_checker::wrong(const detail::token_handle& which, std::string_view what) {
    ++phase_.wrong;
    note(which, std::string(what));
}

void chain_checker::note(const detail::token_handle& which, const std::string& what) {
    if (!first_miss_.empty()) return;
    first_miss_ = "the first: token " + std::to_string(which.id()) + " of operation '" +
                  std::string(which.operation_name()) + "' " + what;
}

}  // namespace tokengate::app
