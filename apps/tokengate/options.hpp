// SPDX-License-Identifier: Apache-2.0
/// @file
/// Options that several subcommands share, and the exit codes of all of them.
#pragma once

#include <optional>
#include <stdexcept>

#include <tokengate/config.hpp>

namespace CLI {
class App;
}

namespace tokengate::app {

/// What the process returns.
enum exit_code : int {
    exit_fine = 0,          ///< everything ran, every check held
    exit_check_failed = 1,  ///< a token failed, a result differs, or the system refused something
    exit_usage = 2,         ///< the command line or a setting is wrong; nothing ran
};

/// What the user asked for cannot be done as it was written; ends in exit_usage.
class usage_error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// The runtime's width. The numbers are signed, so that 0 and negative ones reach the library,
/// whose message names the range that is allowed.
struct runtime_options {
    std::optional<int> cores;
    std::optional<int> workers_per_core;

    [[nodiscard]] config to_config() const;
};

/// Adds --cores and --workers-per-core to a subcommand. `options` must outlive the parsing.
void add_runtime_options(CLI::App& subcommand, runtime_options& options);

}  // namespace tokengate::app
