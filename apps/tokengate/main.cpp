// SPDX-License-Identifier: Apache-2.0
/// @file
/// The command line: subcommands, their options, and how a run ends.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <tokengate/config.hpp>
#include <tokengate/error.hpp>
#include <tokengate/topology.hpp>

#include "burst.hpp"
#include "chain.hpp"
#include "options.hpp"
#include "pi.hpp"
#include "report.hpp"
#include "soak.hpp"
#include "soak_field.hpp"
#include "storm.hpp"
#include "topology.hpp"
#include "waves.hpp"

namespace tokengate::app {
namespace {

constexpr double longest_window = 86'400.0;          // a day, in seconds
constexpr std::uint64_t largest_seed = 0xffff'ffff;  // readers of JSON lose digits beyond 2^53
constexpr std::uint32_t most_keys = 1'000'000;
constexpr std::uint32_t most_leads = 100'000;
constexpr std::uint64_t most_terms = 1'000'000'000;  // some 20 minutes of work

/// Accepts numbers from `low` to `high`; unlike CLI::Range it turns NaN away too.
template <class T>
CLI::Validator from_to(T low, T high, const std::string& range) {
    const auto check = [low, high, range](const std::string& text) {
        T value{};
        const bool inside = CLI::detail::lexical_cast(text, value) && value >= low && value <= high;
        return inside ? std::string() : "'" + text + "' is not allowed; allowed are " + range;
    };
    return CLI::Validator(check, "");
}

struct topology_options {
    std::optional<int> cores;
    std::string scope;
    std::string synthetic;
    std::string xml_file;
    bool json = false;
};

int run_topology(const topology_options& options) {
    const std::map<std::string, domain_scope> scopes{{"core", domain_scope::core},
                                                     {"l2", domain_scope::l2},
                                                     {"l3", domain_scope::l3},
                                                     {"numa", domain_scope::numa}};
    config wanted;
    wanted.cores = options.cores;
    if (!options.scope.empty()) wanted.scope = scopes.at(options.scope);
    wanted.synthetic = options.synthetic;
    wanted.xml_file = options.xml_file;
    std::optional<topology> map;
    const settings held = resolve(wanted, map);
    if (options.json) {
        print_json(topology_json(*map, held));
    } else {
        std::fputs(format_topology(*map, held).c_str(), stdout);
    }
    return exit_fine;
}

void add_json(CLI::App& subcommand, bool& json) {
    subcommand.add_flag("--json", json, "Print one JSON object and nothing else");
}

void add_seed(CLI::App& subcommand, std::uint64_t& seed, const std::string& of_what) {
    subcommand.add_option("--seed", seed, of_what + ", 0 to 2^32 - 1")
        ->check(from_to(std::uint64_t{0}, largest_seed, "0 to 2^32 - 1"))
        ->capture_default_str();
}

/// The command line and what it was given.
class command_line {
  public:
    command_line() {
        app_.set_version_flag("--version", "tokengate " TOKENGATE_VERSION);
        app_.require_subcommand(1);
        app_.footer(
            "Exit codes: 0 fine, 1 a check failed, 2 wrong usage.\n"
            "Every setting of the runtime can also be given as TOKENGATE_... in the environment;\n"
            "TOKENGATE_DISPLAY_ENV=1 prints what holds.");
        add_waves();
        add_pi();
        add_burst();
        add_topology();
        add_storm();
        add_chain();
        add_soak();
    }

    int run(int argc, char** argv) {
        if (argc < 2) {
            std::fputs(app_.help().c_str(), stderr);
            return exit_usage;
        }
        if (argv[1][0] != '-') require_subcommand(argv[1]);
        try {
            app_.parse(argc, argv);
        } catch (const CLI::Success& answered) {
            return app_.exit(answered);  // --help, --version
        } catch (const CLI::ParseError& wrong) {
            const std::string command = argv[1][0] == '-' ? "" : std::string(argv[1]) + ' ';
            throw usage_error(std::string(wrong.what()) + "\nFor what is possible: tokengate " +
                              command + "--help");
        }
        if (waves_command_->parsed()) return run_waves(waves_);
        if (pi_command_->parsed()) return run_pi(pi_);
        if (burst_command_->parsed()) return run_burst(burst_);
        if (storm_command_->parsed()) return run_storm(storm_);
        if (chain_command_->parsed()) return run_chain(chain_);
        if (soak_command_->parsed()) return run_soak(soak_);
        return run_topology(topology_);
    }

  private:
    /// CLI11 would only say that it did not expect the argument.
    void require_subcommand(const std::string& name) const {
        std::string known;
        for (const CLI::App* each : app_.get_subcommands([](const CLI::App*) { return true; })) {
            if (each->get_name() == name) return;
            known += (known.empty() ? "" : ", ") + each->get_name();
        }
        throw usage_error("there is no subcommand '" + name + "'; there are: " + known);
    }

    void add_waves() {
        waves_command_ = app_.add_subcommand(
            "waves", "The main job: doubling waves of tokens, each checked against a serial run");
        CLI::App& command = *waves_command_;
        add_runtime_options(command, waves_.runtime);
        command.add_option("--waves", waves_.waves, "How many; the first has 4 tokens, 1 to 20")
            ->check(from_to(1, 20, "1 to 20"))
            ->capture_default_str();
        add_seed(command, waves_.seed, "Moves the random numbers");
        command.add_flag_callback(
            "--no-baseline", [this] { waves_.baseline = false; },
            "Leave out the same waves on oneTBB");
        command.add_option("--svg", waves_.svg, "Draw throughput and latency into this file");
        add_json(command, waves_.json);
    }

    void add_pi() {
        pi_command_ = app_.add_subcommand("pi", "The Leibniz series: a million terms as tokens");
        CLI::App& command = *pi_command_;
        add_runtime_options(command, pi_.runtime);
        command.add_option("--terms", pi_.terms, "Terms of the series, 1 to 10^9")
            ->check(from_to(std::uint64_t{1}, most_terms, "1 to 10^9"))
            ->capture_default_str();
        command.add_option("--chunk", pi_.chunk, "Terms that one token sums, 1 to 10^9")
            ->check(from_to(std::uint64_t{1}, most_terms, "1 to 10^9"))
            ->capture_default_str();
        command.add_option("--digits", pi_.digits, "Decimal digits of the arithmetic")
            ->check(
                CLI::IsMember(std::vector<unsigned>(pi_precisions.begin(), pi_precisions.end())))
            ->capture_default_str();
        add_json(command, pi_.json);
    }

    void add_burst() {
        burst_command_ = app_.add_subcommand(
            "burst", "Bursts of 8 tokens released together, then mixed batches for a while");
        CLI::App& command = *burst_command_;
        add_runtime_options(command, burst_.runtime);
        command.add_option("--seconds", burst_.seconds, "Length of the mixed window, 0 to 86400")
            ->check(from_to(0.0, longest_window, "0 to 86400 seconds"))
            ->capture_default_str();
        add_seed(command, burst_.seed, "Of sizes and mixes");
        add_json(command, burst_.json);
    }

    void add_topology() {
        topology_command_ = app_.add_subcommand(
            "topology",
            "The map of domains: CPUs, caches, class ranges, and what limits the width");
        CLI::App& command = *topology_command_;
        command.add_option("--cores", topology_.cores, "Domains to use, 1 to 1024");
        command.add_option("--scope", topology_.scope, "What one domain covers")
            ->check(CLI::IsMember({"core", "l2", "l3", "numa"}));
        auto* synthetic = command.add_option("--synthetic", topology_.synthetic,
                                             "Show this hwloc synthetic topology instead");
        command.add_option("--xml", topology_.xml_file, "Show this hwloc XML file instead")
            ->excludes(synthetic);
        add_json(command, topology_.json);
    }

    void add_storm() {
        storm_command_ = app_.add_subcommand(
            "storm", "Sticky keys by the thousand: each one's tokens must share its domain");
        CLI::App& command = *storm_command_;
        add_runtime_options(command, storm_.runtime);
        command.add_option("--keys", storm_.keys, "Keys of the storm, 1 to 10^6")
            ->check(from_to(std::uint32_t{1}, most_keys, "1 to 10^6"))
            ->capture_default_str();
        command.add_option("--tokens", storm_.tokens, "Tokens of each key, 1 to 10^6")
            ->check(from_to(std::uint32_t{1}, most_keys, "1 to 10^6"))
            ->capture_default_str();
        command.add_option("--bursts", storm_.bursts, "Bursts beside the anchors, 0 to 1000")
            ->check(from_to(std::uint32_t{0}, std::uint32_t{1000}, "0 to 1000"))
            ->capture_default_str();
        add_seed(command, storm_.seed, "Of the order of the keys");
        command.add_flag("--broken", storm_.broken,
                         "Leave the keys out, so that the checks find something");
        add_json(command, storm_.json);
    }

    void add_chain() {
        chain_command_ = app_.add_subcommand(
            "chain", "Leads and what they create: all of it must share their domain and seed");
        CLI::App& command = *chain_command_;
        add_runtime_options(command, chain_.runtime);
        command.add_option("--leads", chain_.leads, "How many, 1 to 10^5")
            ->check(from_to(std::uint32_t{1}, most_leads, "1 to 10^5"))
            ->capture_default_str();
        add_seed(command, chain_.seed, "Of kills, exceptions and waits");
        command.add_flag("--broken", chain_.broken,
                         "Open no chains, so that the checks find something");
        add_json(command, chain_.json);
    }

    void add_soak() {
        soak_command_ = app_.add_subcommand(
            "soak", "Everything at random for a while: the books must balance in the end");
        CLI::App& command = *soak_command_;
        add_runtime_options(command, soak_.runtime);
        command.add_option("--seconds", soak_.seconds, "Of load, 0 to 86400")
            ->check(from_to(0.0, longest_window, "0 to 86400 seconds"))
            ->capture_default_str();
        const std::string threads = "1 to " + std::to_string(most_soak_threads);
        command.add_option("--threads", soak_.threads, "Threads that submit, " + threads)
            ->check(from_to(std::uint32_t{1}, most_soak_threads, threads))
            ->capture_default_str();
        add_seed(command, soak_.seed, "Of limits, operations and what happens to them");
        command.add_flag("--broken", soak_.broken,
                         "Leave one execution uncounted, so that a check finds something");
        add_json(command, soak_.json);
    }

    CLI::App app_{"TokenGate: synchronous operations as tokens on pinned cores.", "tokengate"};
    CLI::App* waves_command_ = nullptr;
    CLI::App* pi_command_ = nullptr;
    CLI::App* burst_command_ = nullptr;
    CLI::App* topology_command_ = nullptr;
    CLI::App* storm_command_ = nullptr;
    CLI::App* chain_command_ = nullptr;
    CLI::App* soak_command_ = nullptr;
    waves_options waves_;
    pi_options pi_;
    burst_options burst_;
    topology_options topology_;
    storm_options storm_;
    chain_options chain_;
    soak_options soak_;
};

int usage(const std::exception& wrong) {
    std::fprintf(stderr, "tokengate: %s\n", wrong.what());
    return exit_usage;
}

int failure(const std::exception& happened) {
    std::fprintf(stderr, "tokengate: %s\n", happened.what());
    return exit_check_failed;
}

int run(int argc, char** argv) {
    try {
        const int code = command_line().run(argc, argv);
        if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
            std::fputs("tokengate: standard output cannot be written\n", stderr);
            return exit_check_failed;
        }
        return code;
    } catch (const usage_error& wrong) {
        return usage(wrong);
    } catch (const config_error& wrong) {
        return usage(wrong);
    } catch (const topology_error& wrong) {
        return usage(wrong);
    } catch (const std::exception& happened) {
        return failure(happened);
    }
}

}  // namespace
}  // namespace tokengate::app

int main(int argc, char** argv) { return tokengate::app::run(argc, argv); }
