// SPDX-License-Identifier: Apache-2.0
// Nothing scans all tokens: what asks a runtime, and whoever else works in it, looks at none of the
// many that wait.
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/detail/frame.hpp>
#include <tokengate/detail/source.hpp>
#include <tokengate/tokengate.hpp>

#include "child.hpp"
#include "figure.hpp"
#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t many = 100'000;

/// What slabs of the pool are aligned to, and as large as.
constexpr std::size_t slab_bytes = std::size_t{1} << 21U;

/// While it lives, nobody may look at most of these tokens: who does is killed by SIGSEGV.
class out_of_sight {
  public:
    explicit out_of_sight(const std::vector<token<void>>& tokens) {
        std::map<std::uintptr_t, std::size_t> tokens_in;
        for (const auto& each : tokens) {
            const auto address =
                reinterpret_cast<std::uintptr_t>(&detail::handle_access::node_of(each));
            ++tokens_in[address - address % slab_bytes];
        }
        // Full slabs: what is new is made elsewhere.
        for (const auto& [slab, count] : tokens_in) {
            if (!is_full(count)) continue;
            protect(slab, PROT_NONE);
            slabs_.push_back(slab);
            hidden_ += count;
        }
    }
    ~out_of_sight() {
        for (const std::uintptr_t each : slabs_) protect(each, PROT_READ | PROT_WRITE);
    }
    out_of_sight(const out_of_sight&) = delete;
    out_of_sight& operator=(const out_of_sight&) = delete;

    [[nodiscard]] std::size_t hidden() const { return hidden_; }

  private:
    /// So many nodes of some size are all that a slab holds, behind its header.
    static bool is_full(std::size_t count) {
        return std::any_of(detail::node_sizes.begin(), detail::node_sizes.end(),
                           [=](std::size_t size) { return count == slab_bytes / size - 1; });
    }

    static void protect(std::uintptr_t slab, int how) {
        expect(mprotect(reinterpret_cast<void*>(slab), slab_bytes, how) == 0,
               "a slab can be hidden");
    }

    std::vector<std::uintptr_t> slabs_;
    std::size_t hidden_ = 0;
};

/// Where tokens wait.
enum class waiting_room : std::uint8_t { aside, lane, inputs };

/// Makes many tokens that wait, hides them, and does everything else that a runtime can do.
int work_beside(waiting_room where, bool looks) {
    // Domain 1 for those that wait; whatever heavy comes there, domain 0 takes.
    runtime rt({.cores = 2,
                .mailbox_capacity = 2 * many,
                .in_flight_limit = 4 * many,
                .history = 16,
                .steal = stealing::strict});
    hold gate;
    const auto held = rt.operation("held", [&] { gate.pass(); });
    const auto op = rt.operation("op", [] {});
    const auto other =
        rt.operation("other", {.weight = weight::heavy}, [](int n) { return n + 1; });
    const auto parent =
        rt.operation("parent", {.weight = weight::heavy}, [&](int n) { return other(n).get(); });
    // A medium token, which only domain 1 may run: what lies behind it stays there.
    const token<void> first = held();
    expect(gate.await(1), "the first token executes");
    std::vector<token<void>> waiting;
    waiting.reserve(many);
    const bool is_aside = where == waiting_room::aside;
    if (is_aside) op.pause();
    for (std::size_t i = 0; i < many; ++i) {
        waiting.push_back(where == waiting_room::inputs ? rt.after(first).call(op) : op());
    }
    if (is_aside) {
        gate.release();
        expect(eventually([&] { return op.stats().set_aside == many; }), "the many are set aside");
    }
    {
        const out_of_sight hidden(waiting);
        figure("tokens that nobody looks at", hidden.hidden());
        expect(hidden.hidden() > many / 2, "most of them are hidden");
        if (looks) static_cast<void>(waiting[many / 2].done());
        for (int i = 0; i < 100; ++i) {
            expect(other(i).get() == i + 1, "other tokens run");
            expect(parent(i).get() == i + 1, "parents and children run");
            expect(rt.stats().total().in_flight() >= many, "the runtime counts the many");
            expect(op.stats().counts.in_flight() == many, "their operation counts them");
            expect(rt.history().size() <= 16, "history keeps its size");
            expect(op.health().attempts == 0, "none was attempted");
            static_cast<void>(rt.open_chains());
            expect(!rt.wait_idle_for(0ms), "the runtime is not idle");
            other.pause();
            other.resume();
            if (where == waiting_room::inputs) continue;
            // These two go through all that wait for inputs.
            other.cancel();
            other.kill();
        }
        // Those that come later join them, and leave, one by one.
        for (int i = 0; i < 100; ++i) {
            const token<void> late = op();
            const std::size_t others = is_aside ? many : 0;
            expect(!is_aside || eventually([&] { return op.stats().set_aside == others + 1; }),
                   "it is set aside with the many");
            expect(late.kill(), "one can be killed");
            late.join();
            expect(op.stats().set_aside == others, "it is counted no more");
        }
        if (is_aside) op.pause();
    }
    gate.release();
    op.resume();
    expect(rt.wait_idle_for(hang_limit), "the runtime comes to rest");
    expect(rt.stats().total().in_flight() == 0, "the books balance");
    expect(op.stats().counts.completed == many, "all have run");
    return 0;
}

}  // namespace

TEST_CASE("nothing_scans_all_tokens" * doctest::skip(no_threads_in_children)) {
    for (const waiting_room where :
         {waiting_room::aside, waiting_room::lane, waiting_room::inputs}) {
        INFO("room ", static_cast<int>(where));
        CHECK(in_child([&] { return work_beside(where, false); }) == "exit 0");
    }
}

TEST_CASE("whoever_looked_at_a_token_out_of_sight_would_be_caught" *
          doctest::skip(no_threads_in_children)) {
    CHECK(in_child([&] { return work_beside(waiting_room::lane, true); }) ==
          "killed by signal Segmentation fault");
}

}  // namespace tokengate::test
