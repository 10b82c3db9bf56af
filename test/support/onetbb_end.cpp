// SPDX-License-Identifier: Apache-2.0
// Ends oneTBB's threads when all test cases have run. Elsewhere they may end at any moment while
// the process does: what such a thread has looks like a leak then, or is used when it is gone.
#include <new>

#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>

namespace tokengate::test {
namespace {

class onetbb_end final : public doctest::IReporter {
  public:
    explicit onetbb_end(const doctest::ContextOptions&) {}

    void test_run_end(const doctest::TestRunStats&) override {
        tbb::task_scheduler_handle onetbb{tbb::attach{}};
        tbb::finalize(onetbb, std::nothrow);
    }

    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_case_start(const doctest::TestCaseData&) override {}
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_end(const doctest::CurrentTestCaseStats&) override {}
    void test_case_exception(const doctest::TestCaseException&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_assert(const doctest::AssertData&) override {}
    void log_message(const doctest::MessageData&) override {}
    void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("onetbb_end", 0, onetbb_end);

}  // namespace
}  // namespace tokengate::test
