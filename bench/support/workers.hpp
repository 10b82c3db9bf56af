// SPDX-License-Identifier: Apache-2.0
/// @file
/// How the TokenGate contenders get their threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tokengate/tokengate.hpp>

#include "support/work.hpp"

namespace tokengate::bench {

/// A domain for each of the setting's threads. Everything else is as compiled in, one worker a
/// domain by default, or as TOKENGATE_* says, so that a setting can be tried out without a build.
[[nodiscard]] inline config one_domain_a_thread(const setting& given) {
    return {.cores = static_cast<int>(given.threads)};
}

/// A runtime, and how many tokens it has completed so far.
class checked_runtime {
  public:
    explicit checked_runtime(const config& wanted) : runtime_(wanted) {}
    explicit checked_runtime(const setting& given) : checked_runtime(one_domain_a_thread(given)) {}

    [[nodiscard]] runtime& get() noexcept { return runtime_; }
    [[nodiscard]] const runtime& get() const noexcept { return runtime_; }

    /// Waits until the runtime is idle.
    /// @throws wrong_result unless its ledger says that since the last call `tokens` completed, and
    /// no anchored one ran outside its domain
    void expect_completed(std::uint64_t tokens) {
        runtime_.wait_idle();
        const runtime_stats seen = runtime_.stats();
        const token_counts counts = seen.total();
        expect_equal("tokens in flight", static_cast<std::int64_t>(counts.in_flight()), 0);
        expect_equal("tokens completed", static_cast<std::int64_t>(counts.completed - before_),
                     static_cast<std::int64_t>(tokens));
        for (const domain_stats& each : seen.domains) {
            expect_equal("escapes", static_cast<std::int64_t>(each.escapes), 0);
        }
        before_ = counts.completed;
    }

  private:
    runtime runtime_;
    std::uint64_t before_ = 0;
};

/// The base of TokenGate's contenders of a work whose contenders have the base `Base`: these verify
/// the ledger as well.
template <class Base>
class with_runtime : public Base {
  public:
    /// @param more  what the constructor of `Base` gets besides the setting
    template <class... A>
    explicit with_runtime(const setting& given, const A&... more)
        : Base(given, more...), runtime_(given) {}

    void verify() override {
        Base::verify();
        runtime_.expect_completed(expected_tokens());
    }

  protected:
    [[nodiscard]] runtime& host() noexcept { return runtime_.get(); }

    /// How many tokens complete in one repetition.
    [[nodiscard]] virtual std::uint64_t expected_tokens() const = 0;

  private:
    checked_runtime runtime_;
};

/// How the tokens that a token creates are tied to it.
enum class bond : std::uint8_t {
    none,   ///< not at all: other domains may steal them
    chain,  ///< their parent opens a chain, and they belong to it
};

/// How a token makes the tokens that it creates.
enum class calls : std::uint8_t {
    single,  ///< a call for each
    bulk,    ///< one for all, or for all of a step
};

/// Traits of an operation whose tokens create those of the operation `children`.
[[nodiscard]] inline operation_traits parent_traits(weight heaviness, bond tie,
                                                    std::string_view children) {
    operation_traits traits{.weight = heaviness};
    if (tie == bond::chain) traits.external_calls = {std::string(children)};
    return traits;
}

}  // namespace tokengate::bench
