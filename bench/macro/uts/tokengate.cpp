// SPDX-License-Identifier: Apache-2.0
// UTS by tokens.
#include <tokengate/tokengate.hpp>

#include "macro/uts/contenders.hpp"
#include "support/workers.hpp"

namespace tokengate::bench::uts {

namespace {

// A token for each node; it creates those of its children and is done. Only the submitter waits.
template <weight Weight>
class tokens : public with_runtime<searcher> {
  public:
    using with_runtime::with_runtime;

    void run() override {
        visit_.post(root());
        host().wait_idle();
    }

  private:
    [[nodiscard]] std::uint64_t expected_tokens() const override { return nodes(); }

    operation<void(const node&)> visit_ =
        host().operation("visit", {.weight = Weight}, [this](const node& here) {
            visit(here, [this](const node& child) { visit_.post(child); });
        });
};

}  // namespace

void add_tokengate(shape wanted, std::vector<entry>& contenders) {
    contenders.push_back(enter<tokens<weight::medium>>("tokengate", family::tokengate, wanted));
    contenders.push_back(enter<tokens<weight::heavy>>("heavy", family::tokengate, wanted));
}

}  // namespace tokengate::bench::uts
