// SPDX-License-Identifier: Apache-2.0
// P6: how much of the machine the tasks get when each does microseconds of real work.
#include <cryptopp/sha.h>
#include <tbb/task_group.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "support/onetbb.hpp"
#include "support/openmp.hpp"
#include "support/split.hpp"
#include "support/tally.hpp"
#include "support/work.hpp"
#include "support/workers.hpp"

namespace tokengate::bench {
namespace {

// A different stream of numbers for each task; the constants are Knuth's (MMIX).
class random_numbers {
  public:
    explicit random_numbers(std::uint64_t seed) noexcept : state_(seed * 31 + 1) {}

    std::uint32_t next() noexcept {
        state_ = state_ * 6364136223846793005U + 1442695040888963407U;
        return static_cast<std::uint32_t>(state_ >> 33);
    }

  private:
    std::uint64_t state_;
};

// The four kinds of work. Each depends on its task's number and returns a digest of what it did.

[[gnu::noinline]] std::uint64_t sum_of_primes(std::uint64_t task) {
    const unsigned last = 300 - static_cast<unsigned>(task % 8);
    std::uint64_t sum = 0;
    for (unsigned n = 2; n <= last; ++n) {
        bool prime = true;
        for (unsigned d = 2; d * d <= n && prime; ++d) prime = n % d != 0;
        if (prime) sum += n;
    }
    return sum;
}

[[gnu::noinline]] std::uint64_t transform_string(std::uint64_t task) {
    random_numbers random(task);
    std::string text(300, '\0');
    for (char& letter : text) letter = static_cast<char>('a' + random.next() % 26);
    std::ranges::reverse(text);
    std::uint64_t digest = 14695981039346656037U;
    for (char& letter : text) {
        letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
        if (letter == 'A') letter = '4';
        if (letter == 'E') letter = '3';
        if (letter == 'I') letter = '1';
        digest = (digest ^ static_cast<unsigned char>(letter)) * 1099511628211U;
    }
    return digest;
}

[[gnu::noinline]] std::uint64_t sort_numbers(std::uint64_t task) {
    random_numbers random(task);
    std::vector<int> numbers(1000);
    for (int& each : numbers) each = static_cast<int>(random.next());
    std::ranges::sort(numbers);
    std::uint64_t digest = 0;
    for (const int each : numbers) digest = digest * 31 + static_cast<std::uint64_t>(each);
    return digest;
}

[[gnu::noinline]] std::uint64_t chain_digests(std::uint64_t task) {
    std::array<CryptoPP::byte, CryptoPP::SHA256::DIGESTSIZE> block{};
    std::memcpy(block.data(), &task, sizeof task);
    CryptoPP::SHA256 sha;
    for (int round = 0; round < 50; ++round) {
        sha.CalculateDigest(block.data(), block.data(), block.size());
    }
    std::uint64_t digest = 0;
    std::memcpy(&digest, block.data(), sizeof digest);
    return digest;
}

constexpr std::array kinds{&sum_of_primes, &transform_string, &sort_numbers, &chain_digests};

std::uint64_t do_task(std::uint64_t task) { return kinds[task % kinds.size()](task); }

class mixed : public contender {
  public:
    explicit mixed(const setting& given) : digests_(given.tasks) {}

    void verify() override {
        const std::vector<std::uint64_t>& expected = serial_digests(digests_.size());
        for (std::size_t i = 0; i < digests_.size(); ++i) {
            if (digests_[i] == expected[i]) continue;
            throw wrong_result("task " + std::to_string(i) + " has a wrong digest");
        }
        std::ranges::fill(digests_, 0);
    }

  protected:
    [[nodiscard]] std::uint64_t tasks() const noexcept { return digests_.size(); }
    [[nodiscard]] std::uint64_t* slot(std::uint64_t task) noexcept { return &digests_[task]; }

  private:
    // Computed once, apart from the serial contender, so that it is verified too.
    static const std::vector<std::uint64_t>& serial_digests(std::size_t tasks) {
        static std::vector<std::uint64_t> digests;
        for (std::uint64_t i = digests.size(); i < tasks; ++i) digests.push_back(do_task(i));
        return digests;
    }

    std::vector<std::uint64_t> digests_;
};

class serial : public mixed {
  public:
    using mixed::mixed;

    void run() override {
        for (std::uint64_t i = 0; i < tasks(); ++i) *slot(i) = do_task(i);
    }
};

class split : public mixed {
  public:
    explicit split(const setting& given) : mixed(given), threads_(given.threads) {}

    void run() override {
        split_evenly(threads_, tasks(), [this](std::uint64_t i) { *slot(i) = do_task(i); });
    }

  private:
    unsigned threads_;
};

class task_group : public with_arena<mixed> {
  public:
    using with_arena::with_arena;

    void run() override {
        arena().execute([this] {
            tbb::task_group group;
            run_all(group, tasks(), [this](std::uint64_t i) { *slot(i) = do_task(i); });
        });
    }
};

class enqueue : public with_arena<mixed, submitter::besides> {
  public:
    using with_arena::with_arena;

    void run() override {
        const std::uint64_t end = tally::finished() + tasks();
        for (std::uint64_t i = 0; i < tasks(); ++i) {
            arena().enqueue([result = slot(i), i] {
                *result = do_task(i);
                tally::count();
            });
        }
        tally::wait_for(end);
    }
};

class enqueue_deferred : public with_arena<mixed> {
  public:
    using with_arena::with_arena;

    void run() override {
        arena().execute([this] {
            tbb::task_group group;
            for (std::uint64_t i = 0; i < tasks(); ++i) {
                arena().enqueue(group.defer([result = slot(i), i] { *result = do_task(i); }));
            }
            group.wait();
        });
    }
};

class openmp_tasks : public with_team<mixed> {
  public:
    using with_team::with_team;

    void run() override {
        team().run([this] {
            for (std::uint64_t i = 0; i < tasks(); ++i) {
                openmp_team::task([result = slot(i), i] { *result = do_task(i); });
            }
        });
    }
};

template <weight Weight>
class tokens : public with_runtime<mixed> {
  public:
    using with_runtime::with_runtime;

    void run() override {
        const std::array operations{primes_, string_, sort_, digests_};
        for (std::uint64_t i = 0; i < tasks(); ++i) {
            operations[i % operations.size()].post(slot(i), i);
        }
        host().wait_idle();
    }

  private:
    [[nodiscard]] std::uint64_t expected_tokens() const override { return tasks(); }

    using call = operation<void(std::uint64_t*, std::uint64_t)>;

    template <std::uint64_t (*Kind)(std::uint64_t)>
    [[nodiscard]] call declare(std::string_view name) {
        return host().operation(
            name, {.weight = Weight},
            [](std::uint64_t* result, std::uint64_t task) { *result = Kind(task); });
    }

    call primes_ = declare<sum_of_primes>("primes");
    call string_ = declare<transform_string>("string");
    call sort_ = declare<sort_numbers>("sort");
    call digests_ = declare<chain_digests>("digests");
};

const registration mixed_tasks{{
    .id = "P6",
    .title = "mixed tasks: primes to 300, 300 letters, sort of 1,000 ints, 50 SHA-256",
    .tasks = 65'536,
    .quick_tasks = 4'096,
    .contenders = with_openmp<openmp_tasks>(
        {enter<serial>("serial", family::serial), enter<split>("split", family::serial),
         enter<task_group>("task_group", family::onetbb), enter<enqueue>("enqueue", family::onetbb),
         enter<enqueue_deferred>("enqueue_deferred", family::onetbb),
         enter<tokens<weight::medium>>("tokengate", family::tokengate),
         enter<tokens<weight::heavy>>("heavy", family::tokengate)}),
    .goals =
        {{.of = "tokengate", .against = {"serial"}, .measure = goal::kind::speed_up, .limit = 1.95},
         {.of = "tokengate",
          .against = {"serial"},
          .measure = goal::kind::speed_up,
          .limit = 1.9,
          .floor = true}},
}};

}  // namespace
}  // namespace tokengate::bench
