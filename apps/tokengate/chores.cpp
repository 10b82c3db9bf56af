// SPDX-License-Identifier: Apache-2.0
#include "chores.hpp"

#include <filesystem>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <absl/strings/str_format.h>
#include <nlohmann/json.hpp>

#include "works.hpp"

namespace tokengate::app {
namespace {

/// A size between the smallest and the largest.
constexpr unsigned size_at(unsigned step, unsigned smallest, unsigned largest) noexcept {
    return smallest + (largest - smallest) * step / (size_steps - 1);
}

std::uint64_t every_third_doubled(unsigned count) {
    std::vector<std::uint64_t> doubled(count);
    for (unsigned i = 0; i < count; ++i) doubled[i] = std::uint64_t{2} * i;
    std::uint64_t sum = 0;
    for (const std::uint64_t each : doubled) {
        if (each % 3 == 0) sum += each;
    }
    return sum;
}

std::uint64_t matrix_sum(unsigned rows) {
    std::vector<std::uint64_t> cells(std::size_t{rows} * rows);
    for (unsigned row = 0; row < rows; ++row) {
        for (unsigned column = 0; column < rows; ++column) {
            cells[std::size_t{row} * rows + column] = std::uint64_t{row} * column;
        }
    }
    std::uint64_t sum = 0;
    for (const std::uint64_t each : cells) sum += each;
    return sum;
}

/// Squares summed, each round over the last: a plain sum of squares is one that compilers replace
/// by its formula.
std::uint64_t rounds_of_squares(unsigned rounds) noexcept {
    std::uint64_t state = rounds;
    for (unsigned round = 0; round < rounds; ++round) {
        for (std::uint64_t j = 0; j < 100; ++j) state = (state ^ (state >> 31)) + j * j;
    }
    return state;
}

std::string log_line(unsigned step) {
    return absl::StrFormat("entry %02u: the quick brown fox jumps over the lazy dog, %02u times",
                           step, step);
}

std::string json_text(unsigned step) {
    nlohmann::ordered_json document{{"kind", "burst"}, {"step", step}};
    for (unsigned i = 0; i < 20 + step; ++i) {
        document["items"].push_back({{"id", i}, {"square", i * i}, {"label", std::to_string(i)}});
    }
    return document.dump();
}

std::string blob_text(unsigned step) {
    std::mt19937 generator(step);
    std::string bytes(8'192, '\0');
    for (char& each : bytes) each = static_cast<char>(generator() & 0xff);
    return bytes;
}

std::uint64_t fingerprint_of_text(const std::string& text) {
    return fingerprint_of(std::span<const char>(text));
}

std::string written_and_read(const std::filesystem::path& path, const std::string& content) {
    write_file(path, content);
    return read_file(path);
}

std::filesystem::path log_of(const scratch_directory& files) { return files.file("burst.log"); }

}  // namespace

std::string_view name_of(chore kind) noexcept {
    switch (kind) {
        case chore::moderate: return "moderate";
        case chore::complex: return "complex";
        case chore::heavy: return "heavy";
        case chore::log_append: return "log append";
        case chore::json_write: return "JSON write";
        case chore::blob_write: return "8 KiB blob";
    }
    return "unknown";
}

weight weight_of(chore kind) noexcept {
    switch (kind) {
        case chore::heavy:
        case chore::log_append: return weight::heavy;
        case chore::json_write: return weight::light;
        case chore::moderate:
        case chore::complex:
        case chore::blob_write: return weight::medium;
    }
    return weight::medium;
}

std::uint64_t perform(chore kind, chore_order order, const scratch_directory& files) {
    switch (kind) {
        case chore::moderate:
        case chore::complex:
        case chore::heavy: return expected_of(kind, order.step);
        case chore::log_append: {
            const std::string line = log_line(order.step);
            append_line(log_of(files), line);
            return fingerprint_of_text(line);
        }
        case chore::json_write: {
            const auto path = files.file(absl::StrFormat("document-%u.json", order.slot));
            const std::string text = written_and_read(path, json_text(order.step));
            return fingerprint_of_text(nlohmann::ordered_json::parse(text).dump());
        }
        case chore::blob_write: {
            const auto path = files.file(absl::StrFormat("blob-%u", order.slot));
            return fingerprint_of_text(written_and_read(path, blob_text(order.step)));
        }
    }
    return 0;
}

std::uint64_t expected_of(chore kind, unsigned step) {
    switch (kind) {
        case chore::moderate: return every_third_doubled(size_at(step, 5'000, 10'000));
        case chore::complex: return matrix_sum(size_at(step, 100, 200));
        case chore::heavy: return rounds_of_squares(size_at(step, 2'000, 3'200));
        case chore::log_append: return fingerprint_of_text(log_line(step));
        case chore::json_write: return fingerprint_of_text(json_text(step));
        case chore::blob_write: return fingerprint_of_text(blob_text(step));
    }
    return 0;
}

std::optional<std::size_t> take_log(const scratch_directory& files) {
    const std::string log = read_file(log_of(files));
    std::size_t lines = 0;
    for (std::string_view rest = log; !rest.empty(); ++lines) {
        const std::size_t end = rest.find('\n');
        if (end == std::string_view::npos) return std::nullopt;
        bool whole = false;
        for (unsigned step = 0; step < size_steps && !whole; ++step) {
            whole = rest.substr(0, end) == log_line(step);
        }
        if (!whole) return std::nullopt;
        rest.remove_prefix(end + 1);
    }
    write_file(log_of(files), "");
    return lines;
}

}  // namespace tokengate::app
