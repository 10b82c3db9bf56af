// SPDX-License-Identifier: Apache-2.0
/// @file
/// What the topology tests share: a clean environment, and short ways to a synthetic machine.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <tokengate/topology.hpp>

namespace tokengate::test {

/// Sets or unsets one environment variable, and puts back what was there.
class scoped_variable {
  public:
    scoped_variable(std::string name, const char* value) : name_(std::move(name)) {
        if (const char* before = std::getenv(name_.c_str())) {
            before_ = before;
        }
        set(value);
    }

    ~scoped_variable() { set(before_ ? before_->c_str() : nullptr); }

    scoped_variable(const scoped_variable&) = delete;
    scoped_variable& operator=(const scoped_variable&) = delete;

  private:
    void set(const char* value) const {
        if (value == nullptr) {
            ::unsetenv(name_.c_str());
        } else {
            ::setenv(name_.c_str(), value, 1);
        }
    }

    std::string name_;
    std::optional<std::string> before_;
};

/// No variable that steers hwloc is set while it lives, whatever the tests were started with.
class clean_hwloc_environment {
    scoped_variable synthetic_{"HWLOC_SYNTHETIC", nullptr};
    scoped_variable xml_{"HWLOC_XMLFILE", nullptr};
    scoped_variable this_system_{"HWLOC_THISSYSTEM", nullptr};
};

/// A fresh folder, removed in the end.
class scratch_folder {
  public:
    scratch_folder() {
        std::string name = (std::filesystem::temp_directory_path() / "tokengate-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) {
            throw std::runtime_error("cannot create a folder like " + name);
        }
        path_ = name;
    }

    ~scratch_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    scratch_folder(const scratch_folder&) = delete;
    scratch_folder& operator=(const scratch_folder&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

    /// Writes a file, with the folders above it.
    void write(const std::filesystem::path& relative, std::string_view text) const {
        const std::filesystem::path file = path_ / relative.relative_path();
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }

  private:
    std::filesystem::path path_;
};

/// 64 cores in 2 packages with a NUMA node each, 8 cores to an L3 cache, no L2 cache.
inline constexpr const char* big_machine = "pack:2 [numa] l3:4 core:8 pu:1";

/// 16 cores of 2 hardware threads in 2 packages: 2 cores to an L2 cache, 4 to an L3, 8 to a node.
inline constexpr const char* deep_machine = "pack:2 [numa] l3:2 l2:2 core:2 pu:2";

inline topology synthetic(const char* description, domain_scope scope = domain_scope::core,
                          std::optional<unsigned> domains = std::nullopt) {
    return topology::discover(
        {.scope = scope, .domains = domains, .synthetic = description, .xml_file = {}});
}

/// A file in test/data.
inline std::string data_file(const char* name) {
#ifdef TOKENGATE_TEST_DATA
    const std::filesystem::path folder = TOKENGATE_TEST_DATA;
#else
    const auto folder = std::filesystem::path(__FILE__).parent_path().parent_path() / "data";
#endif
    return (folder / name).string();
}

inline bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

/// All sentences in one text, to search in.
inline std::string joined(const std::vector<std::string>& sentences) {
    std::string text;
    for (const std::string& sentence : sentences) {
        text += sentence + '\n';
    }
    return text;
}

}  // namespace tokengate::test
