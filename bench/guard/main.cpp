// SPDX-License-Identifier: Apache-2.0
// Runs one work a few times; `count` starts it under callgrind, once for each work.
#include <absl/base/config.h>
#include <tbb/version.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "guard/counting.hpp"
#include "guard/works.hpp"

namespace tokengate::guard {
namespace {

constexpr unsigned repeats = 4;

constexpr const char* usage =
    "usage: tokengate-guard WORK [BURDEN]   run it; BURDEN: extra instructions for each token\n"
    "       tokengate-guard --list          the works, and what this was built with, as JSON\n";

// Of what changes the code of the same source.
nlohmann::json description() {
    nlohmann::json names = nlohmann::json::array();
    for (const entry& each : all_works()) names.push_back(each.name);
#if defined(__x86_64__)
    constexpr const char* architecture = "x86_64";
#elif defined(__aarch64__)
    constexpr const char* architecture = "aarch64";
#else
    constexpr const char* architecture = "other";
#endif
#if defined(ABSL_LTS_RELEASE_VERSION)
    constexpr int abseil = ABSL_LTS_RELEASE_VERSION;
#else
    constexpr int abseil = 0;
#endif
#ifdef NDEBUG
    constexpr bool assertions = false;
#else
    constexpr bool assertions = true;
#endif
    return {{"works", names},
            {"key",
             {{"architecture", architecture},
#if defined(__clang__)
              {"compiler", "clang++ " __clang_version__},
#else
              {"compiler", "g++ " __VERSION__},
#endif
              {"onetbb", TBB_VERSION_STRING},
              {"abseil", abseil},
              {"assertions", assertions}}}};
}

int main(std::span<char*> words) {
    if (words.size() == 2 && std::string_view(words[1]) == "--list") {
        std::cout << description().dump() << '\n';
        return 0;
    }
    if (words.size() < 2 || words.size() > 3) {
        std::cerr << usage;
        return 2;
    }
    if (words.size() == 3) {
        const std::string_view text = words[2];
        const auto parsed = std::from_chars(text.begin(), text.end(), burden);
        if (parsed.ec != std::errc{} || parsed.ptr != text.end()) {
            std::cerr << usage;
            return 2;
        }
    }
    const auto chosen = std::ranges::find(all_works(), std::string_view(words[1]), &entry::name);
    if (chosen == all_works().end()) {
        std::cerr << "tokengate-guard: there is no work " << words[1] << '\n';
        return 2;
    }
    const std::unique_ptr<work> runner = chosen->make();
    for (repeat = 0; repeat <= repeats; ++repeat) runner->run();
    return 0;
}

}  // namespace
}  // namespace tokengate::guard

int main(int count, char** values) {
    try {
        return tokengate::guard::main({values, static_cast<std::size_t>(count)});
    } catch (const std::exception& wrong) {
        std::cerr << "tokengate-guard: " << wrong.what() << '\n';
        return 1;
    }
}
