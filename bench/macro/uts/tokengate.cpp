// SPDX-License-Identifier: Apache-2.0
// UTS by tokens.
#include <tokengate/tokengate.hpp>

#include "macro/uts/contenders.hpp"
#include "support/workers.hpp"

namespace tokengate::bench::uts {

namespace {

// A token for each node; it creates those of its children and is done. Only the submitter waits.
template <weight Weight>
class tokens : public searcher {
  public:
    tokens(const setting& given, shape wanted)
        : searcher(given, wanted), runtime_(one_worker_a_core(given)) {}

    void run() override {
        static_cast<void>(visit_(root()));
        runtime_.wait_idle();
    }

    void verify() override {
        searcher::verify();
        expect_completed(runtime_, completed_, nodes());
    }

  private:
    runtime runtime_;
    operation<void(const node&)> visit_ =
        runtime_.operation("visit", {.weight = Weight}, [this](const node& here) {
            visit(here, [this](const node& child) { static_cast<void>(visit_(child)); });
        });
    std::uint64_t completed_ = 0;
};

}  // namespace

void add_tokengate(shape wanted, std::vector<entry>& contenders) {
    contenders.push_back(enter<tokens<weight::medium>>("tokengate", family::tokengate, wanted));
    contenders.push_back(enter<tokens<weight::heavy>>("heavy", family::tokengate, wanted));
}

}  // namespace tokengate::bench::uts
