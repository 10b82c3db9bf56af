// SPDX-License-Identifier: Apache-2.0
/// @file
/// What people and machines get to see: tables, numbers with units, progress, JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace tokengate::app {

using json = nlohmann::ordered_json;

/// A duration with three digits and the unit that suits it: "12.3 ms".
[[nodiscard]] std::string duration_text(double seconds);

/// A number with a fixed count of decimals.
[[nodiscard]] std::string number_text(double value, int decimals = 0);

/// A number of things: "1 worker", "2 workers".
[[nodiscard]] std::string count_text(std::uint64_t count, std::string_view thing);

/// A table whose rows are printed as they come, so its widths are fixed beforehand. Cells stand
/// right, but for the first column if it is wide.
class table {
  public:
    struct column {
        std::string title;
        int width;  ///< negative: stands left
    };

    explicit table(std::vector<column> columns) : columns_(std::move(columns)) {}

    void print_header() const;
    void print_row(const std::vector<std::string>& cells) const;

  private:
    std::vector<column> columns_;
};

/// One line on standard error that is overwritten again and again, if that is a terminal; nothing
/// at all otherwise. Clear it before something is printed on standard output.
class progress_line {
  public:
    progress_line();
    ~progress_line() { clear(); }
    progress_line(const progress_line&) = delete;
    progress_line& operator=(const progress_line&) = delete;

    void show(std::string_view text);
    void clear();

  private:
    bool terminal_;
    bool shown_ = false;
};

/// Prints a value as one line on standard output.
void print_json(const json& value);

/// A file that is opened before the work and written after it, so that a path that cannot be
/// written is found before anybody has waited for the result.
class output_file {
  public:
    /// Opens the file, or creates it; what it holds stays until write().
    /// @throws usage_error with the path and the system's reason
    explicit output_file(std::string path);

    /// Closes the file, and removes it if it was created here and never written.
    ~output_file();
    output_file(const output_file&) = delete;
    output_file& operator=(const output_file&) = delete;

    /// Replaces the content.
    /// @throws std::system_error with the path
    void write(std::string_view content);

  private:
    std::string path_;
    int descriptor_ = -1;
    bool created_ = false;
    bool written_ = false;
};

}  // namespace tokengate::app
