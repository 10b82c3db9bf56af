// SPDX-License-Identifier: Apache-2.0
// TokenGate and oneTBB in one process: how long each takes alone, both at once on all cores, and
// both at once with the cores divided between them. And what an arena over all domains brings.
//
//     build/bench/side_by_side [ROUNDS]
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <thread>
#include <vector>

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>

#include <tokengate/tokengate.hpp>

namespace {

namespace tg = tokengate;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

constexpr int algorithms = 150;        // of oneTBB's, one after the other
constexpr int bodies = 64;             // in each of them
constexpr auto period = 200us;         // a token in each
constexpr unsigned body_steps = 6000;  // some 20 us

void spin(unsigned steps) {
    std::uint64_t state = steps + 1;
    for (unsigned i = 0; i < steps; ++i)
        state = state * 6364136223846793005U + 1442695040888963407U;
    // The compiler must not see that nobody wants it.
    asm volatile("" : : "r"(state));
}

double microseconds(clock_type::duration time) {
    return std::chrono::duration<double, std::micro>(time).count();
}

double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

struct figures {
    double algorithms_ms = 0;  ///< for all of them
    double token_p50 = 0;      ///< from call to end, in microseconds
    double token_p99 = 0;
};

void run_algorithms() {
    for (int i = 0; i < algorithms; ++i) {
        tbb::parallel_for(0, bodies, [](int) { spin(body_steps); });
    }
}

/// Calls tokens, one in each period, until `over`.
void send_tokens(tg::runtime& rt, const std::atomic<bool>& over, figures& seen) {
    const auto work = rt.operation("work", {.weight = tg::weight::heavy}, [] {
        spin(body_steps);
        return clock_type::now();
    });
    std::vector<clock_type::time_point> called;
    std::vector<tg::token<clock_type::time_point>> tokens;
    for (auto next = clock_type::now(); !over; next += period) {
        std::this_thread::sleep_until(next);
        called.push_back(clock_type::now());
        tokens.push_back(work());
    }
    std::vector<double> latencies;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        latencies.push_back(microseconds(tokens[i].get() - called[i]));
    }
    std::sort(latencies.begin(), latencies.end());
    seen.token_p50 = latencies[latencies.size() / 2];
    seen.token_p99 = latencies[latencies.size() * 99 / 100];
}

/// While it lives, the calling thread, and the threads that it makes, leave alone what the runtime
/// runs on; and oneTBB has no more threads than there is room for.
class cores_left_by {
  public:
    explicit cores_left_by(const tg::runtime& rt) {
        sched_getaffinity(0, sizeof before_, &before_);
        cpu_set_t rest = before_;
        for (const tg::domain_info& each : rt.topology().domains()) {
            for (const unsigned cpu : each.cpus) CPU_CLR(cpu, &rest);
        }
        if (CPU_COUNT(&rest) == 0) return;
        sched_setaffinity(0, sizeof rest, &rest);
        limit_.emplace(tbb::global_control::max_allowed_parallelism,
                       static_cast<std::size_t>(CPU_COUNT(&rest)));
    }
    ~cores_left_by() { sched_setaffinity(0, sizeof before_, &before_); }
    cores_left_by(const cores_left_by&) = delete;
    cores_left_by& operator=(const cores_left_by&) = delete;

  private:
    cpu_set_t before_{};
    std::optional<tbb::global_control> limit_;
};

/// @param tokens, onetbb  which of the two take part
/// @param divided         the first half of the cores is TokenGate's, the rest oneTBB's
figures round_of(bool tokens, bool onetbb, bool divided) {
    figures seen;
    std::optional<tg::runtime> rt;
    std::atomic<bool> over{false};
    std::thread sender;
    std::optional<cores_left_by> rest;
    if (tokens) {
        const int half = static_cast<int>(std::thread::hardware_concurrency() / 2);
        rt.emplace(tg::config{.cores = divided ? std::optional(std::max(1, half)) : std::nullopt});
        sender = std::thread([&] { send_tokens(*rt, over, seen); });
        if (divided) rest.emplace(*rt);
    }
    const auto begin = clock_type::now();
    if (onetbb) {
        run_algorithms();
        seen.algorithms_ms = microseconds(clock_type::now() - begin) / 1000;
    } else {
        std::this_thread::sleep_for(100ms);
    }
    over = true;
    if (sender.joinable()) sender.join();
    return seen;
}

/// One heavy token with an algorithm inside, while the other cores have other tokens or not.
double algorithm_in_token(unsigned width, bool busy) {
    tg::runtime rt;
    std::atomic<bool> over{false};
    const auto other = rt.operation("other", [&] {
        while (!over) spin(body_steps);
    });
    const auto solve = rt.operation("solve", {.weight = tg::weight::heavy, .arena = {width}}, [] {
        const auto begin = clock_type::now();
        for (int i = 0; i < algorithms / 10; ++i) {
            tbb::parallel_for(0, bodies, [](int) { spin(body_steps); });
        }
        return microseconds(clock_type::now() - begin) / 1000;
    });
    std::vector<tg::token<void>> others;
    if (busy) {
        for (unsigned i = 1; i < rt.settings().cores; ++i) others.push_back(other());
    }
    const double taken = solve().get();
    over = true;
    return taken;
}

/// What `measure` returns in a process of its own: threads that oneTBB has made once stay as they
/// are.
template <class Measure>
auto in_own_process(Measure&& measure) {
    decltype(measure()) seen{};
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    if (fork() == 0) {
        seen = measure();
        std::_Exit(write(ends[1], &seen, sizeof seen) == sizeof seen ? 0 : 1);
    }
    if (read(ends[0], &seen, sizeof seen) != sizeof seen) std::abort();
    close(ends[0]);
    close(ends[1]);
    wait(nullptr);
    return seen;
}

}  // namespace

int main(int count, char** arguments) {
    const int rounds = count > 1 ? std::max(1, std::atoi(arguments[1])) : 9;
    struct contender {
        const char* name;
        bool tokens, onetbb, divided;
        std::vector<double> time, p50, p99;
    };
    std::vector<contender> contenders{{"TokenGate alone", true, false, false, {}, {}, {}},
                                      {"oneTBB alone", false, true, false, {}, {}, {}},
                                      {"both, on all cores", true, true, false, {}, {}, {}},
                                      {"both, cores divided", true, true, true, {}, {}, {}}};
    std::vector<double> nested[4];
    for (int round = 0; round < rounds; ++round) {
        for (contender& each : contenders) {
            const figures seen =
                in_own_process([&] { return round_of(each.tokens, each.onetbb, each.divided); });
            each.time.push_back(seen.algorithms_ms);
            each.p50.push_back(seen.token_p50);
            each.p99.push_back(seen.token_p99);
        }
        for (unsigned i = 0; i < 4; ++i) {
            nested[i].push_back(
                in_own_process([&] { return algorithm_in_token(i % 2 == 0 ? 1 : 1024, i >= 2); }));
        }
    }
    std::printf("medians of %d rounds in turn; a token of some 20 us every %d us\n", rounds,
                static_cast<int>(period.count()));
    std::printf("%-22s %14s %12s %12s\n", "", "oneTBB, ms", "p50, us", "p99, us");
    for (const contender& each : contenders) {
        std::printf("%-22s %14.1f %12.1f %12.1f\n", each.name, median(each.time), median(each.p50),
                    median(each.p99));
    }
    const char* const names[]{"own domain, rest idle", "all domains, rest idle",
                              "own domain, rest busy", "all domains, rest busy"};
    std::printf("an algorithm inside a token\n");
    for (unsigned i = 0; i < 4; ++i) std::printf("%-22s %14.1f ms\n", names[i], median(nested[i]));
    return 0;
}
