// SPDX-License-Identifier: Apache-2.0
// Ends oneTBB's threads when all test cases have run. Elsewhere they may end at any moment while
// the process does: what such a thread has looks like a leak then, or is used when it is gone.
#include <new>

#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>

#include "case_listener.hpp"

namespace tokengate::test {
namespace {

class onetbb_end final : public case_listener {
  public:
    using case_listener::case_listener;

    void test_run_end(const doctest::TestRunStats&) override {
        tbb::task_scheduler_handle onetbb{tbb::attach{}};
        tbb::finalize(onetbb, std::nothrow);
    }
};

REGISTER_LISTENER("onetbb_end", 0, onetbb_end);

}  // namespace
}  // namespace tokengate::test
