// SPDX-License-Identifier: Apache-2.0
#include "pi.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <absl/strings/str_format.h>

#include <tokengate/tokengate.hpp>

#include "leibniz.hpp"
#include "measure.hpp"
#include "report.hpp"

namespace tokengate::app {
namespace {

/// Chunk tokens that one partial token sums.
constexpr std::size_t chunks_per_partial = 100;

/// One layer of the job: its tokens, and from when to when it was busy. Layers overlap.
struct layer {
    const char* name = "";
    weight kind = weight::medium;
    std::uint64_t tokens = 0;
    steady::time_point begun{};
    steady::time_point finished{};

    void submits(std::uint64_t count) {
        if (tokens == 0) begun = steady::now();
        tokens += count;
    }
    /// Its last token has ended.
    void delivers(const token<std::string>& last) {
        last.wait();
        finished = steady::now();
    }
    [[nodiscard]] double seconds() const { return app::seconds(finished - begun); }
};

struct layers {
    layer terms{.name = "term", .kind = weight::light};
    layer chunks{.name = "chunk", .kind = weight::light};
    layer partials{.name = "partial", .kind = weight::medium};
    layer total{.name = "total", .kind = weight::heavy};

    [[nodiscard]] std::array<layer, 4> all() const { return {terms, chunks, partials, total}; }
};

struct pi_result {
    layers by_layer;
    double seconds = 0.0;  ///< first submission to last result
    double serial_seconds = 0.0;
    token_counts counts;    ///< the runtime's own ledger
    std::string sum;        ///< with as many digits as were asked for
    std::string pi;         ///< those that are proved to be digits of pi
    bool same_sum = false;  ///< the serial computation gives the same, to the last guard digit

    [[nodiscard]] std::uint64_t tokens() const {
        std::uint64_t count = 0;
        for (const layer& each : by_layer.all()) count += each.tokens;
        return count;
    }
    [[nodiscard]] bool verified() const {
        return same_sum && counts.completed == tokens() && counts.in_flight() == 0;
    }
    [[nodiscard]] std::size_t correct_digits() const {
        return pi.size() - static_cast<std::size_t>(std::count(pi.begin(), pi.end(), '.'));
    }
};

/// Terms into chunks into partials into one: tokens are the arguments of those that sum them.
/// Returns the sum with all its digits.
template <unsigned Digits>
std::string sum_by_tokens(runtime& rt, const pi_options& options, layers& job,
                          progress_line& progress) {
    using series = leibniz<Digits>;
    using texts = std::vector<token<std::string>>;
    const auto declare = [&rt](const layer& each, auto* function) {
        return rt.operation(each.name, {.weight = each.kind}, function);
    };
    const auto term = declare(job.terms, &series::term_text);
    const auto sum_chunk = declare(job.chunks, &series::sum_text);
    const auto sum_partial = declare(job.partials, &series::sum_text);
    const auto sum_total = declare(job.total, &series::sum_text);

    texts chunks;
    token<std::string> last_term;
    for (std::uint64_t first = 0; first < options.terms; first += options.chunk) {
        const std::uint64_t end = std::min(first + options.chunk, options.terms);
        job.terms.submits(end - first);
        texts terms;
        for (std::uint64_t index = first; index < end; ++index) terms.push_back(term(index));
        last_term = terms.back();
        job.chunks.submits(1);
        chunks.push_back(sum_chunk(std::move(terms)));
        progress.show(absl::StrFormat("%u of %u terms", end, options.terms));
    }
    texts partials;
    for (std::span rest(chunks); !rest.empty();) {
        const auto summands = rest.first(std::min(rest.size(), chunks_per_partial));
        job.partials.submits(1);
        partials.push_back(sum_partial(summands));
        rest = rest.subspan(summands.size());
    }
    job.total.submits(1);
    const token<std::string> total = sum_total(partials);
    job.terms.delivers(last_term);
    job.chunks.delivers(chunks.back());
    job.partials.delivers(partials.back());
    job.total.delivers(total);
    return total.get();
}

/// The same additions in the same order on one thread, without any text on the way: what tokens
/// have carried as strings must not have lost a digit.
template <unsigned Digits>
std::string sum_serially(const pi_options& options, progress_line& progress) {
    using series = leibniz<Digits>;
    typename series::decimal total = 0;
    typename series::decimal partial = 0;
    std::size_t chunks = 0;
    for (std::uint64_t first = 0; first < options.terms; first += options.chunk) {
        const std::uint64_t end = std::min(first + options.chunk, options.terms);
        typename series::decimal chunk = 0;
        for (std::uint64_t index = first; index < end; ++index) chunk += series::term(index);
        partial += chunk;
        if (++chunks % chunks_per_partial == 0) {
            total += std::exchange(partial, typename series::decimal(0));
            progress.show(absl::StrFormat("checking: %u of %u terms", end, options.terms));
        }
    }
    return series::text_of(total + partial);
}

template <unsigned Digits>
pi_result compute(const pi_options& options) {
    using series = leibniz<Digits>;
    pi_result result;
    progress_line progress;
    runtime rt(options.runtime.to_config());
    const steady::time_point begun = steady::now();
    const std::string sum = sum_by_tokens<Digits>(rt, options, result.by_layer, progress);
    result.seconds = seconds(steady::now() - begun);
    rt.wait_idle();
    result.counts = rt.stats().total();

    const steady::time_point serial_begun = steady::now();
    result.same_sum = sum == sum_serially<Digits>(options, progress);
    result.serial_seconds = seconds(steady::now() - serial_begun);
    result.sum = series::plain(sum);
    result.pi = series::digits_of_pi(sum, options.terms);
    return result;
}

pi_result compute(const pi_options& options) {
    switch (options.digits) {
        case 30: return compute<30>(options);
        case 50: return compute<50>(options);
        case 100: return compute<100>(options);
        case 200: return compute<200>(options);
        default:
            throw usage_error("--digits: the arithmetic exists with 30, 50, 100 and 200 digits");
    }
}

json pi_json(const pi_options& options, const pi_result& result) {
    json by_layer = json::array();
    for (const layer& each : result.by_layer.all()) {
        by_layer.push_back({{"name", each.name},
                            {"weight", std::string(to_string(each.kind))},
                            {"tokens", each.tokens},
                            {"begun_seconds", seconds(each.begun - result.by_layer.terms.begun)},
                            {"seconds", each.seconds()}});
    }
    return {{"tokens", result.tokens()},
            {"completed", result.counts.completed},
            {"failed", result.counts.failed + result.counts.killed},
            {"seconds", result.seconds},
            {"tokens_per_second", ratio(static_cast<double>(result.tokens()), result.seconds)},
            {"verified", result.verified()},
            {"pi", result.pi},
            {"correct_digits", result.correct_digits()},
            {"sum", result.sum},
            {"terms", options.terms},
            {"chunk", options.chunk},
            {"digits", options.digits},
            {"serial_seconds", result.serial_seconds},
            {"layers", std::move(by_layer)}};
}

void print_pi(const pi_options& options, const pi_result& result) {
    const table by_layer({{"layer", -8},
                          {"class", -7},
                          {"tokens", 9},
                          {"begun at", 9},
                          {"time", 8},
                          {"tokens/s", 9}});
    by_layer.print_header();
    for (const layer& each : result.by_layer.all()) {
        by_layer.print_row({each.name, std::string(to_string(each.kind)),
                            std::to_string(each.tokens),
                            duration_text(seconds(each.begun - result.by_layer.terms.begun)),
                            duration_text(each.seconds()),
                            number_text(ratio(static_cast<double>(each.tokens), each.seconds()))});
    }
    std::printf("\nsum  %s\n", result.sum.c_str());
    std::printf("     %s the serial computation gives (same additions, no text between them: %s)\n",
                result.same_sum ? "digit by digit what" : "NOT what",
                duration_text(result.serial_seconds).c_str());
    if (result.pi.empty()) {
        std::printf("pi   no digit is certain after %s\n",
                    count_text(options.terms, "term").c_str());
    } else {
        std::printf(
            "pi   %s: %zu digits are certain, since the error of n terms is below 4/(2n+1)\n",
            result.pi.c_str(), result.correct_digits());
    }
    std::printf("\n%s in %s, %s tokens/s\n",
                absl::StrFormat("%u tokens, %u failed, %s", result.tokens(),
                                result.counts.failed + result.counts.killed,
                                result.verified() ? "sum verified" : "sum NOT verified")
                    .c_str(),
                duration_text(result.seconds).c_str(),
                number_text(ratio(static_cast<double>(result.tokens()), result.seconds)).c_str());
}

}  // namespace

int run_pi(const pi_options& options) {
    const pi_result result = compute(options);
    if (options.json) {
        print_json(pi_json(options, result));
    } else {
        print_pi(options, result);
    }
    return result.verified() ? exit_fine : exit_check_failed;
}

}  // namespace tokengate::app
