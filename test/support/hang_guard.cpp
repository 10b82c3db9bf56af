// SPDX-License-Identifier: Apache-2.0
// Ends the process when a test case hangs, and says which one it was. Part of the suites that
// start runtimes: a runtime that has lost a token would wait for it for ever in its destructor.
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <thread>

#include <doctest/doctest.h>

#include "case_listener.hpp"

namespace tokengate::test {
namespace {

/// The longest that one test case may take, on a busy machine and in its long form; 0: for ever.
std::chrono::seconds limit() {
    if (const char* wanted = std::getenv("TOKENGATE_HANG_LIMIT")) {
        return std::chrono::seconds(std::strtoul(wanted, nullptr, 10));
    }
    const char* stress = std::getenv("TOKENGATE_STRESS");
    return std::chrono::seconds(stress == nullptr ? 150 : 3600);
}

/// Watches one test case.
class watch {
  public:
    explicit watch(const char* name)
        // The limit is read here: the test may change the environment while the thread runs.
        : thread_([this, name, longest = limit()] {
              std::unique_lock guard(lock_);
              if (changed_.wait_for(guard, longest, [this] { return over_; })) return;
              std::fprintf(stderr, "test case %s hangs\n", name);
              std::_Exit(3);
          }) {}
    ~watch() {
        {
            const std::scoped_lock guard(lock_);
            over_ = true;
        }
        changed_.notify_one();
        thread_.join();
    }
    watch(const watch&) = delete;
    watch& operator=(const watch&) = delete;

  private:
    std::mutex lock_;
    std::condition_variable changed_;
    bool over_ = false;
    std::thread thread_;
};

class hang_guard final : public case_listener {
  public:
    using case_listener::case_listener;

    void test_case_start(const doctest::TestCaseData& test) override {
        if (limit().count() > 0) watch_.emplace(test.m_name);
    }
    void test_case_end(const doctest::CurrentTestCaseStats&) override { watch_.reset(); }

  private:
    std::optional<watch> watch_;
};

REGISTER_LISTENER("hang_guard", 1, hang_guard);

}  // namespace
}  // namespace tokengate::test
