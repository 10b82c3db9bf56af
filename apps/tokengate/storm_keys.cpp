// SPDX-License-Identifier: Apache-2.0
#include "storm_keys.hpp"

#include <algorithm>
#include <bit>
#include <deque>
#include <future>
#include <optional>
#include <random>
#include <utility>

namespace tokengate::app {
namespace {

constexpr std::uint32_t submitters = 4;

// Tokens that one thread lets be in flight. Many, so that most keys have several of them at a time.
constexpr std::size_t window = 16'384;

constexpr unsigned bits = 64;

/// One of the threads that submit: every `submitters`-th key is its own.
class key_submitter {
  public:
    key_submitter(const storm_operation& op, key_book& keys, const key_load& load,
                  std::uint32_t number)
        : op_(op), keys_(keys), load_(load), number_(number) {
        found_.by_domain.resize(load.domains);
        sent_.resize(keys.size() / submitters + 1);
        last_.resize(sent_.size());
    }

    key_findings run() {
        std::vector<std::uint32_t> order;
        for (std::uint32_t key = number_; key < keys_.size(); key += submitters) {
            order.insert(order.end(), load_.tokens, key);
        }
        std::mt19937_64 random(load_.seed * submitters + number_);
        std::shuffle(order.begin(), order.end(), random);
        for (const std::uint32_t key : order) {
            submit(key);
            if (sent_tokens_.size() >= window) {
                // The one in the middle first: waiting for each one in turn would cost a wake-up
                // each.
                sent_tokens_[window / 2].token.wait();
                for (std::size_t i = 0; i < window / 2; ++i) check_oldest();
            }
        }
        while (!sent_tokens_.empty()) check_oldest();
        return std::move(found_);
    }

  private:
    struct sent_token {
        tokengate::token<storm_run> token;
        std::uint32_t key;
        std::uint32_t number;  ///< among those of its key
        unsigned domain;       ///< where it was placed
    };

    void submit(std::uint32_t key) {
        const std::uint32_t number = sent_[key / submitters]++;
        tokengate::token<storm_run> made = op_(key);
        const unsigned placed = made.domain();
        if (const key_hold& hold = keys_.hold_of(key)) {
            ++found_.bound;
            if (placed != hold.domain()) miss(key, number, "was placed", placed, hold.domain());
        } else if (keys_.surely_in_flight(key, number)) {
            // The one that is in flight was so when the last one came, or is the last one.
            ++found_.bound;
            const unsigned expected = last_[key / submitters];
            if (placed != expected) miss(key, number, "was placed", placed, expected);
        }
        last_[key / submitters] = placed;
        ++found_.tokens;
        sent_tokens_.push_back({std::move(made), key, number, placed});
    }

    void check_oldest() {
        const sent_token& done = sent_tokens_.front();
        const storm_run ran = done.token.get();
        const unsigned domain = done.token.domain();
        if (domain != done.domain) {
            miss(done.key, done.number, "ran", domain, done.domain);
        } else if (!found_.seen.saw(ran.thread, domain)) {
            miss(done.key, done.number, "ran on a thread of another domain instead of", domain,
                 domain);
        }
        if (load_.in_order && ran.sequence != done.number) ++found_.disorder;
        ++found_.by_domain[domain];
        keys_.ran_in(done.key, domain);
        sent_tokens_.pop_front();
    }

    void miss(std::uint32_t key, std::uint32_t number, const char* what, unsigned domain,
              unsigned expected) {
        if (found_.misses++ > 0) return;
        found_.first_miss = "the first miss: token " + std::to_string(number) + " of key " +
                            std::to_string(key) + ' ' + what + " in domain " +
                            std::to_string(domain) + ", expected in " + std::to_string(expected);
    }

    const storm_operation& op_;
    key_book& keys_;
    const key_load& load_;
    std::uint32_t number_;
    key_findings found_;
    std::vector<std::uint32_t> sent_;  ///< for each of its keys
    std::vector<unsigned> last_;       ///< where the last token of each went
    std::deque<sent_token> sent_tokens_;
};

/// Orders what a token does before its key is released, and what the next call of the key finds.
/// The key's place is counted with relaxed operations, so that it does not do so itself.
void order_with_pins() noexcept {
#if !defined(__SANITIZE_THREAD__)  // which does not know fences, and runs where none is needed
    std::atomic_thread_fence(std::memory_order_acq_rel);
#endif
}

}  // namespace

key_book::key_book(std::size_t keys, unsigned domains)
    : ended_(keys), words_((domains + bits - 1) / bits), used_(keys * words_) {}

void key_book::hold_half(const storm_operation& op) {
    holds_.resize(ended_.size());
    for (std::uint32_t key = 0; key < size(); key += 2) holds_[key] = op.hold(key);
}

const key_hold& key_book::hold_of(std::uint32_t key) const {
    static const key_hold none;
    return key < holds_.size() ? holds_[key] : none;
}

void key_book::ends(std::uint32_t key) noexcept {
    // Relaxed: pairs by the fences; see surely_in_flight().
    ended_[key].fetch_add(1, std::memory_order_relaxed);
    order_with_pins();
}

bool key_book::surely_in_flight(std::uint32_t key, std::uint32_t earlier) const noexcept {
    // If the last of the earlier tokens had let go of the key before the call took it, this sees
    // all of them counted: count, fence, release of the pin; acquisition of the pin, fence, load.
    order_with_pins();
    return ended_[key].load(std::memory_order_relaxed) < earlier;
}

void key_book::ran_in(std::uint32_t key, unsigned domain) noexcept {
    used_[key * words_ + domain / bits] |= std::uint64_t{1} << (domain % bits);
}

std::vector<std::uint64_t> key_book::keys_by_domains() const {
    std::vector<std::uint64_t> keys;
    for (std::size_t key = 0; key < ended_.size(); ++key) {
        std::size_t domains = 0;
        for (std::size_t word = 0; word < words_; ++word) {
            domains += static_cast<std::size_t>(std::popcount(used_[key * words_ + word]));
        }
        if (domains == 0) continue;
        if (keys.size() < domains) keys.resize(domains);
        ++keys[domains - 1];
    }
    return keys;
}

void key_findings::merge(const key_findings& other) {
    tokens += other.tokens;
    bound += other.bound;
    misses += other.misses + seen.merge(other.seen);
    disorder += other.disorder;
    by_domain.resize(std::max(by_domain.size(), other.by_domain.size()));
    for (std::size_t i = 0; i < other.by_domain.size(); ++i) by_domain[i] += other.by_domain[i];
    if (first_miss.empty()) first_miss = other.first_miss;
}

key_findings submit_all(const storm_operation& op, key_book& keys, const key_load& load) {
    std::vector<std::future<key_findings>> threads;
    for (std::uint32_t number = 0; number < submitters; ++number) {
        threads.push_back(std::async(std::launch::async, [&op, &keys, &load, number] {
            return key_submitter(op, keys, load, number).run();
        }));
    }
    key_findings all;
    for (std::future<key_findings>& each : threads) all.merge(each.get());
    return all;
}

}  // namespace tokengate::app
