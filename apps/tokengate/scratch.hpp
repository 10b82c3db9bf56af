// SPDX-License-Identifier: Apache-2.0
/// @file
/// A temporary directory for what jobs write.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace tokengate::app {

/// A fresh directory below TMPDIR, or /tmp where that is not set, removed with all it holds at the
/// end of its life.
///
/// Thread safety: const members may be called from any thread.
class scratch_directory {
  public:
    /// @throws std::system_error if it cannot be made
    scratch_directory();
    ~scratch_directory();
    scratch_directory(const scratch_directory&) = delete;
    scratch_directory& operator=(const scratch_directory&) = delete;

    [[nodiscard]] std::filesystem::path file(const std::string& name) const { return path_ / name; }

  private:
    std::filesystem::path path_;
};

/// Replaces the content of a file. @throws std::system_error with the path
void write_file(const std::filesystem::path& path, std::string_view content);

/// Adds a line at the end of a file, in one piece even if several threads append to it.
/// @throws std::system_error with the path
void append_line(const std::filesystem::path& path, std::string_view line);

/// The content of a file; empty if there is none. @throws std::system_error with the path
[[nodiscard]] std::string read_file(const std::filesystem::path& path);

}  // namespace tokengate::app
