// SPDX-License-Identifier: Apache-2.0
/// @file
/// The six kinds of work of the burst job: three that compute, three that write files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <tokengate/weight.hpp>

#include "scratch.hpp"

namespace tokengate::app {

enum class chore : std::uint8_t {
    moderate,    ///< doubles 5,000 to 10,000 numbers, keeps every third, sums (medium)
    complex,     ///< fills and sums a matrix of 100 to 200 rows (medium)
    heavy,       ///< 2,000 to 3,200 rounds of a recurrence of 100 steps (heavy)
    log_append,  ///< appends a line to a log that all tasks share (heavy)
    json_write,  ///< writes a JSON file, reads it back and parses it (light)
    blob_write,  ///< writes 8 KiB and reads them back (medium)
};

inline constexpr std::array all_chores{chore::moderate,   chore::complex,    chore::heavy,
                                       chore::log_append, chore::json_write, chore::blob_write};

/// Zero-based index of a kind, for arrays over all_chores.
[[nodiscard]] constexpr std::size_t index_of(chore kind) noexcept {
    return static_cast<std::size_t>(kind);
}

[[nodiscard]] std::string_view name_of(chore kind) noexcept;
[[nodiscard]] weight weight_of(chore kind) noexcept;

/// Sizes go in steps from the smallest to the largest of a kind, so that the expected result of
/// each can be computed beforehand.
inline constexpr unsigned size_steps = 16;

/// What one task has to do.
struct chore_order {
    unsigned step = 0;  ///< size, 0 to size_steps - 1
    unsigned slot = 0;  ///< names its file; orders that run side by side have different slots
};

/// Does it and returns a fingerprint of the result; for files, of what was read back.
/// @throws std::system_error if a file cannot be written or read
[[nodiscard]] std::uint64_t perform(chore kind, chore_order order, const scratch_directory& files);

/// The fingerprint that perform() must return, computed without any file.
[[nodiscard]] std::uint64_t expected_of(chore kind, unsigned step);

/// Reads the shared log, checks that every line in it is whole, and empties it. Not to be called
/// while orders run. Returns the number of lines, or nothing if one is damaged.
[[nodiscard]] std::optional<std::size_t> take_log(const scratch_directory& files);

}  // namespace tokengate::app
