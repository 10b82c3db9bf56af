// SPDX-License-Identifier: Apache-2.0
// Chains: a call that names what it will call keeps all that it sets off on its own core, where
// what they share is in the cache. Nothing has to be said at the calls.
#include <tokengate/tokengate.hpp>

#include <atomic>
#include <cstddef>
#include <iostream>
#include <numeric>
#include <span>
#include <string>
#include <vector>

namespace tg = tokengate;

using pixels = std::span<float>;

// What became of a picture.
struct print {
    double brightness = 0;
    std::string seed;  // of all that was called for it
};

int main() {
    constexpr std::size_t strip_size = 8'192;     // pixels, on which a call works
    constexpr std::size_t picture_size = 65'536;  // 256 KiB, which a core can keep
    std::atomic<int> strays{0};

    tg::runtime rt({.cores = 4});  // four domains, also on a smaller machine

    auto measure = rt.operation(
        "measure", [](pixels strip) { return std::accumulate(strip.begin(), strip.end(), 0.0); });
    auto expose = rt.operation("expose", [&](pixels strip) {
        for (float& each : strip) each *= 2;
        const tg::token<double> light = measure(strip);  // belongs to the chain, too
        light.wait();
        if (light.domain() != tg::this_token::domain()) ++strays;
        return light.get();
    });

    const auto put_together = [&](const std::vector<tg::token<double>>& strips) {
        tg::wait_all(strips);
        print made{.seed = strips.front().seed()};
        for (const auto& each : strips) {
            if (each.domain() != tg::this_token::domain()) ++strays;
            made.brightness += each.get() / picture_size;
        }
        return made;
    };

    // A lead: from here on all stays in the domain in which it has begun.
    auto develop = rt.operation("develop", {.external_calls = {"expose"}}, [&](int number) {
        std::vector<float> picture(picture_size, static_cast<float>(number));
        std::vector<tg::token<double>> strips;
        for (std::size_t from = 0; from < picture_size; from += strip_size) {
            strips.push_back(expose(pixels(picture).subspan(from, strip_size)));
        }
        return put_together(strips);
    });

    std::vector<tg::token<print>> prints;
    for (int number = 1; number <= 8; ++number) prints.push_back(develop(number));
    for (const tg::chain_info& each : rt.open_chains()) {
        std::cout << "chain " << each.seed_prefix << " is open in domain " << each.domain << "\n";
    }

    bool right = true;
    for (std::size_t i = 0; i < prints.size(); ++i) {
        const print& made = prints[i].get();
        std::cout << "picture " << i + 1 << ": brightness " << made.brightness << ", chain "
                  << made.seed.substr(0, 8) << " in domain " << prints[i].domain() << "\n";
        // The seed names the chain, in logs for instance: lead and children have the same.
        right = right && made.brightness == 2.0 * static_cast<double>(i + 1) &&
                made.seed == prints[i].seed();
    }
    std::cout << strays << " calls have left the domain of their lead\n";
    return right && strays == 0 ? 0 : 1;
}
