// SPDX-License-Identifier: Apache-2.0
// What the command line is made of: works, figures, files, digits.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "chores.hpp"
#include "leibniz.hpp"
#include "measure.hpp"
#include "options.hpp"
#include "report.hpp"
#include "scratch.hpp"
#include "wave_run.hpp"
#include "works.hpp"

namespace app = tokengate::app;

namespace {

std::string content_of(const std::filesystem::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("prime_sum_adds_the_primes_up_to_its_limit") {
    CHECK(app::prime_sum(1) == 0);
    CHECK(app::prime_sum(2) == 2);
    CHECK(app::prime_sum(10) == 17);
    CHECK(app::prime_sum(60) == 440);
    CHECK(app::prime_sum(100) == 1060);
}

TEST_CASE("transformed_letters_are_300_upper_case_letters_without_a_e_and_i") {
    const std::string text = app::transformed_letters(31);
    CHECK(text.size() == 300);
    CHECK(text.find_first_not_of("BCDFGHJKLMNOPQRSTUVWXYZ431") == std::string::npos);
    CHECK(text.find_first_of("431") != std::string::npos);
    CHECK(text == app::transformed_letters(31));
    CHECK(text != app::transformed_letters(62));
}

TEST_CASE("sorted_numbers_are_as_many_as_asked_for_in_order_and_not_all_equal") {
    const std::vector<int> numbers = app::sorted_numbers(5, 457);
    CHECK(numbers.size() == 457);
    CHECK(std::is_sorted(numbers.begin(), numbers.end()));
    CHECK(numbers.front() < numbers.back());
}

TEST_CASE("hash_chain_is_sha_256_of_sha_256") {
    const auto hex = [](const app::sha256_digest& digest) {
        std::string text;
        for (const std::uint8_t byte : digest) {
            text += "0123456789abcdef"[byte >> 4];
            text += "0123456789abcdef"[byte & 15];
        }
        return text;
    };
    // The vectors are those of FIPS 180-2 and of sha256sum over its own output.
    CHECK(hex(app::hash_chain("abc", 1)) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(hex(app::hash_chain("abc", 2)) ==
          "4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358");
}

TEST_CASE("fingerprint_depends_on_every_value_and_on_the_order") {
    const auto of = [](std::vector<int> values) {
        return app::fingerprint_of(std::span<const int>(values));
    };
    const std::uint64_t original = of({1, 2, 3});
    CHECK(original == of({1, 2, 3}));
    for (const auto& other : std::vector<std::vector<int>>{
             {1, 2}, {1, 2, 3, 0}, {2, 1, 3}, {1, 3, 2}, {3, 2, 1}, {1, 2, 4}, {0, 2, 3}, {}}) {
        CHECK(original != of(other));
    }
}

TEST_CASE("works_repeat_exactly_and_depend_on_index_and_seed") {
    for (const app::work each : app::all_works) {
        CAPTURE(app::name_of(each));
        CHECK(app::perform(each, 8, 0) == app::perform(each, 8, 0));
        CHECK(app::perform(each, 8, 0) != app::perform(each, 16, 0));
        if (each != app::work::prime_sum) {  // has nothing random in it
            CHECK(app::perform(each, 8, 0) != app::perform(each, 8, 1));
        }
    }
}

TEST_CASE("chores_deliver_what_is_expected_and_the_log_holds_every_line") {
    const app::scratch_directory files;
    for (const app::chore kind : app::all_chores) {
        CAPTURE(app::name_of(kind));
        std::set<std::uint64_t> different;
        for (unsigned step = 0; step < app::size_steps; ++step) {
            const std::uint64_t expected = app::expected_of(kind, step);
            CHECK(app::perform(kind, {.step = step, .slot = step % 3}, files) == expected);
            different.insert(expected);
        }
        CHECK(different.size() == app::size_steps);
    }
    CHECK(app::take_log(files) == app::size_steps);
    CHECK(app::take_log(files) == 0U);
    app::append_line(files.file("burst.log"), "entry 00: damaged");
    CHECK(app::take_log(files) == std::nullopt);
}

TEST_CASE("scratch_directory_is_removed_with_what_it_holds") {
    std::filesystem::path path;
    {
        const app::scratch_directory files;
        path = files.file("something");
        app::write_file(path, "content");
        CHECK(app::read_file(path) == "content");
        CHECK(app::read_file(files.file("absent")).empty());
    }
    CHECK_FALSE(std::filesystem::exists(path.parent_path()));
}

TEST_CASE("figures_of_a_wave_count_wrong_and_missing_results_as_failed") {
    using std::chrono::milliseconds;
    app::wave_run run(4);
    const std::vector<std::uint64_t> expected{1, 2, 3, 4};
    run.begun = app::steady::now();
    run.finished = run.begun + milliseconds(10);
    for (std::size_t i = 0; i < 4; ++i) {
        run.submitted[i] = run.begun;
        run.reports[i] = app::task_report{.fingerprint = i + 1,
                                          .started = run.begun + milliseconds(1),
                                          .ended = run.begun + milliseconds(6),
                                          .cpu = milliseconds(2)};
    }
    app::wave_figures figures = app::figures_of(run, expected);
    CHECK(figures.ok == 4);
    CHECK(figures.failed == 0);
    CHECK(figures.seconds == doctest::Approx(0.010));
    CHECK(figures.tokens_per_second == doctest::Approx(400.0));
    CHECK(figures.mean_latency == doctest::Approx(0.006));
    CHECK(figures.p99_latency == doctest::Approx(0.006));
    CHECK(figures.overlap == doctest::Approx(2.0));
    CHECK(figures.parallelism == doctest::Approx(0.8));

    run.reports[1]->fingerprint = 7;
    run.reports[2].reset();
    figures = app::figures_of(run, expected);
    CHECK(figures.ok == 2);
    CHECK(figures.failed == 2);
}

TEST_CASE("figures_stay_finite_where_there_is_nothing_to_divide_by") {
    const app::wave_figures figures = app::figures_of(app::wave_run(0), {});
    CHECK(figures.tokens_per_second == 0.0);
    CHECK(figures.overlap == 0.0);
    CHECK(app::spread_of({}).deviation == 0.0);
    CHECK(app::percentile({}, 0.5) == 0.0);
    CHECK(app::duration_histogram().percentile(0.5) == 0.0);
}

TEST_CASE("spread_gives_mean_and_standard_deviation") {
    const std::array<double, 8> values{2, 4, 4, 4, 5, 5, 7, 9};
    const app::spread spread = app::spread_of(values);
    CHECK(spread.min == 2.0);
    CHECK(spread.max == 9.0);
    CHECK(spread.mean == doctest::Approx(5.0));
    CHECK(spread.deviation == doctest::Approx(2.0));
}

TEST_CASE("histogram_percentiles_are_at_most_a_32nd_too_high") {
    for (const std::uint64_t scale : {1U, 1'000U, 1'000'000U}) {
        app::duration_histogram histogram;
        std::vector<double> all;
        for (std::uint64_t i = 1; i <= 1'000; ++i) {
            histogram.add(std::chrono::nanoseconds(i * scale));
            all.push_back(static_cast<double>(i * scale) * 1e-9);
        }
        CAPTURE(scale);
        CHECK(histogram.count() == 1'000);
        CHECK(histogram.max() == doctest::Approx(all.back()));
        for (const double share : {0.001, 0.5, 0.95, 0.99, 1.0}) {
            CAPTURE(share);
            const double exact = app::percentile(all, share);
            CHECK(histogram.percentile(share) >= exact * (1.0 - 1e-9));
            CHECK(histogram.percentile(share) <= exact * (1.0 + 1.0 / 32.0 + 1e-9));
        }
    }
    app::duration_histogram extremes;
    extremes.add(std::chrono::nanoseconds(-1));
    extremes.add(std::chrono::nanoseconds::max());
    CHECK(extremes.percentile(0.5) == 0.0);
    CHECK(extremes.percentile(1.0) > 9e9);
}

TEST_CASE("leibniz_numbers_survive_as_text_and_prove_only_digits_of_pi") {
    using series = app::leibniz<50>;
    std::vector<std::string> texts;
    for (std::uint64_t index = 0; index < 1'000; ++index) {
        texts.push_back(series::term_text(index));
        REQUIRE(series::parse(texts.back()) == series::term(index));
    }
    const std::string pi = "3.1415926535897932384626433832795028841971693993751";
    for (const std::size_t terms : {1U, 2U, 3U, 10U, 99U, 100U, 1'000U}) {
        CAPTURE(terms);
        const std::string sum =
            series::sum_text({texts.begin(), texts.begin() + static_cast<std::ptrdiff_t>(terms)});
        const std::string digits = series::digits_of_pi(sum, terms);
        CHECK(pi.substr(0, digits.size()) == digits);
        CHECK((digits.empty() || digits.back() != '.'));
    }
    CHECK(app::common_digits("3.1415", "3.1425") == "3.14");
    CHECK(app::common_digits("3.1", "3.2") == "3");
    CHECK(app::common_digits("2.6", "3.4").empty());
}

TEST_CASE("output_file_leaves_no_trace_until_it_is_written") {
    const app::scratch_directory files;
    const std::string fresh = files.file("fresh").string();
    const std::string kept = files.file("kept").string();
    app::write_file(kept, "a content that is longer than the next");
    {
        const app::output_file created(fresh);
        const app::output_file opened(kept);
        CHECK(std::filesystem::exists(fresh));
    }
    CHECK_FALSE(std::filesystem::exists(fresh));
    CHECK(content_of(kept) == "a content that is longer than the next");
    app::output_file(fresh).write("new");
    app::output_file(kept).write("new");
    CHECK(content_of(fresh) == "new");
    CHECK(content_of(kept) == "new");
    CHECK_THROWS_WITH_AS(app::output_file(files.file("absent/file").string()),
                         doctest::Contains("No such file or directory"), app::usage_error);
}

TEST_CASE("durations_are_shown_with_three_digits") {
    CHECK(app::duration_text(0.0) == "0.00 us");
    CHECK(app::duration_text(12.34e-6) == "12.3 us");
    CHECK(app::duration_text(0.1234) == "123 ms");
    CHECK(app::duration_text(5.678) == "5.68 s");
    CHECK(app::count_text(1, "worker") == "1 worker");
    CHECK(app::count_text(2, "worker") == "2 workers");
}
