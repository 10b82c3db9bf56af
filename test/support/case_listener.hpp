// SPDX-License-Identifier: Apache-2.0
/// @file
/// Somebody who is told when test cases begin and end.
#pragma once

#include <doctest/doctest.h>

namespace tokengate::test {

/// Does nothing; for REGISTER_LISTENER(), which calls the constructor.
struct case_listener : doctest::IReporter {
    explicit case_listener(const doctest::ContextOptions&) {}

    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_run_end(const doctest::TestRunStats&) override {}
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

}  // namespace tokengate::test
