// SPDX-License-Identifier: Apache-2.0
// Fails a suite when a test case leaves more nodes of the pool in use than it has found: a
// reference to a token that nobody drops. Slabs stay reachable, so that no other tool would see it.
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include <doctest/doctest.h>

#include "case_listener.hpp"
#include "token/pool.hpp"

namespace tokengate::test {
namespace {

/// Long enough for threads that are about to end.
constexpr std::chrono::seconds patience{10};

/// The summary of the run has been printed by then.
void fail() { std::_Exit(4); }

class pool_guard final : public case_listener {
  public:
    using case_listener::case_listener;

    // Nothing is asked before the first test case: it may be about a process that has not used the
    // library.
    void test_case_start(const doctest::TestCaseData& test) override { name_ = test.m_name; }

    // Who has ended a token may give its node back a little later.
    void test_case_end(const doctest::CurrentTestCaseStats&) override {
        const auto last_look = std::chrono::steady_clock::now() + patience;
        std::size_t out = detail::usage_of_pool().nodes_out;
        while (out > before_ && std::chrono::steady_clock::now() < last_look) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            out = detail::usage_of_pool().nodes_out;
        }
        if (out > before_) {
            std::fprintf(stderr, "test case %s leaves %zu nodes of the pool\n", name_,
                         out - before_);
            if (!failed_) std::atexit(fail);
            failed_ = true;
        }
        before_ = out;
    }

  private:
    const char* name_ = "";
    std::size_t before_ = 0;
    bool failed_ = false;
};

// Listeners of a lower priority come later: a test case that ends does not hang.
REGISTER_LISTENER("pool_guard", 0, pool_guard);

}  // namespace
}  // namespace tokengate::test
