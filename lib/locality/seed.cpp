// SPDX-License-Identifier: Apache-2.0
#include "locality/seed.hpp"

#include <cryptopp/blake2.h>
#include <cryptopp/sha.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <limits>
#include <map>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>

#include "token/fork_lock.hpp"

namespace tokengate::detail {

namespace {

struct all_lead_traits {
    std::mutex lock;
    std::map<std::pair<std::string, digest_policy>, lead_traits> made;  ///< nodes never move
};

// Never destroyed: handles may be asked for their seeds by static destructors.
all_lead_traits& interned() { return only_one<all_lead_traits>(); }

std::string frozen(const std::vector<std::string>& calls) {
    std::string joined;
    for (const std::string& each : calls) {
        if (&each != &calls.front()) joined += ',';
        joined += each;
    }
    return joined;
}

/// Feeds "<id>:<calls>" to a hash and returns the first `digits` digits of its digest.
template <class Hash, std::size_t size>
std::string digest(Hash hash, std::uint64_t id, std::string_view calls, std::size_t digits) {
    std::array<char, std::numeric_limits<std::uint64_t>::digits10 + 2> head{};
    char* end = std::to_chars(head.data(), head.data() + head.size() - 1, id).ptr;
    *end++ = ':';
    const auto feed = [&](std::string_view text) {
        hash.Update(reinterpret_cast<const CryptoPP::byte*>(text.data()), text.size());
    };
    feed({head.data(), static_cast<std::size_t>(end - head.data())});
    feed(calls);
    std::array<CryptoPP::byte, size> bytes{};
    hash.TruncatedFinal(bytes.data(), bytes.size());

    constexpr std::string_view hexadecimal = "0123456789abcdef";
    std::string text;
    text.reserve(digits);
    for (const unsigned byte : std::span(bytes).first(digits / 2)) {
        text += hexadecimal[byte >> 4U];
        text += hexadecimal[byte & 15U];
    }
    return text;
}

std::string sha256(std::uint64_t id, std::string_view calls, std::size_t digits) {
    return digest<CryptoPP::SHA256, CryptoPP::SHA256::DIGESTSIZE>({}, id, calls, digits);
}

}  // namespace

const lead_traits& lead_traits_for(const std::vector<std::string>& calls, digest_policy policy) {
    all_lead_traits& all = interned();
    std::string joined = frozen(calls);
    const std::scoped_lock guard(all.lock);
    const auto [place, added] = all.made.try_emplace({joined, policy});
    if (added) {
        // Moved, so that an entry is never half made.
        place->second = {.calls = std::move(joined), .policy = policy};
    }
    return place->second;
}

std::string seed_of(std::uint64_t token_id, const lead_traits& lead) {
    switch (lead.policy) {
        case digest_policy::full: return sha256(token_id, lead.calls, 64);
        case digest_policy::brief: return sha256(token_id, lead.calls, 16);
        case digest_policy::minimal: return sha256(token_id, lead.calls, 8);
        case digest_policy::fast: break;
    }
    // A BLAKE2s of 8 bytes is not the start of a longer one: the length is part of what it hashes.
    return digest<CryptoPP::BLAKE2s, 8>(CryptoPP::BLAKE2s(false, 8), token_id, lead.calls, 16);
}

}  // namespace tokengate::detail
