// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <CLI/CLI.hpp>

namespace tokengate::app {

config runtime_options::to_config() const {
    config wanted;
    wanted.cores = cores;
    wanted.workers_per_core = workers_per_core;
    return wanted;
}

void add_runtime_options(CLI::App& subcommand, runtime_options& options) {
    subcommand.add_option("--cores", options.cores,
                          "Domains to use, 1 to 1024 (default: every core that is allowed)");
    subcommand.add_option("--workers-per-core", options.workers_per_core,
                          "Worker threads of each domain, 1 to 64");
}

}  // namespace tokengate::app
