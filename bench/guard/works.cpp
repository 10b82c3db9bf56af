// SPDX-License-Identifier: Apache-2.0
#include "guard/works.hpp"

#include <cstdint>
#include <utility>
#include <vector>

#include "guard/stage.hpp"
#include "guard/submissions.hpp"

namespace tokengate::guard {
namespace {

constexpr std::uint64_t children_each = 100;
constexpr std::uint64_t bulk_size = 100;

// P1.
class empty_tokens final : public submissions {
  public:
    empty_tokens() : submissions("submit", "run") {}

  private:
    void submit_all() override {
        for (std::uint64_t i = 0; i < many; ++i) {
            extra_work();
            empty_.post();
        }
    }

    operation<void()> empty_ = stage_.get().operation("empty", [this] { stage_.ran(); });
};

// P2.
class results final : public submissions {
  public:
    results() : submissions("submit_result", "run_result"), tokens_(many) {}

  private:
    void submit_all() override {
        for (std::uint64_t i = 0; i < many; ++i) {
            extra_work();
            tokens_[i] = same_(i);
        }
    }

    void collect() override {
        stretch collecting("get", many);
        std::uint64_t sum = 0;
        collecting.begin();
        for (token<std::uint64_t>& each : tokens_) {
            extra_work();
            sum += std::exchange(each, {}).get();
        }
        collecting.end();
        expect("sum of the results", sum, many * (many - 1) / 2);
    }

    operation<std::uint64_t(std::uint64_t)> same_ =
        stage_.get().operation("same", [this](std::uint64_t value) {
            stage_.ran();
            return value;
        });
    std::vector<token<std::uint64_t>> tokens_;
};

// P1a: 64 sticky keys.
class keyed : public submissions {
  protected:
    keyed(std::string_view submitted, std::string_view ran, sticky::mode how)
        : submissions(submitted, ran),
          keyed_(stage_.get().operation("keyed", {.sticky = sticky::by_arguments(how)},
                                        [this](std::uint64_t) { stage_.ran(); })) {}

  private:
    void submit_all() final {
        for (std::uint64_t i = 0; i < many; ++i) {
            extra_work();
            keyed_.post(i % 64);
        }
    }

    operation<void(std::uint64_t)> keyed_;
};

class sticky_tokens final : public keyed {
  public:
    sticky_tokens() : keyed("submit_sticky", "run_sticky", sticky::colocate) {}
};

class serial_tokens final : public keyed {
  public:
    serial_tokens() : keyed("submit_serial", "run_serial", sticky::serial) {}
};

// P1b.
class bulk_tokens final : public submissions {
  public:
    bulk_tokens() : submissions("submit_bulk", "run_bulk") {}

  private:
    void submit_all() override {
        for (std::uint64_t i = burden == 0 ? many : 0; i < many; ++i) extra_work();
        for (std::uint64_t i = 0; i < many / bulk_size; ++i) {
            static_cast<void>(empty_.bulk(bulk_size));
        }
    }

    operation<void()> empty_ = stage_.get().operation("empty", [this] { stage_.ran(); });
};

// One large bulk with arguments and results. Its memory comes from the system, so that submitting
// it is not counted: that would not repeat.
class large_bulk final : public work {
  public:
    large_bulk() : numbers_(many) {
        for (std::uint64_t i = 0; i < many; ++i) numbers_[i] = i;
    }

    void run() override {
        stage_.hold();
        bulk<std::uint64_t> all = same_.bulk(numbers_);
        stage_.release("run_large_bulk", many);
        stretch collecting("get_large_bulk", many);
        collecting.begin();
        for (std::uint64_t i = burden == 0 ? many : 0; i < many; ++i) extra_work();
        const std::vector<std::uint64_t> results = std::move(all).get();
        collecting.end();
        expect("that all results are right", results == numbers_ ? 1 : 0, 1);
    }

  private:
    stage stage_;
    operation<std::uint64_t(std::uint64_t)> same_ =
        stage_.get().operation("same", [this](std::uint64_t value) {
            stage_.ran();
            return value;
        });
    std::vector<std::uint64_t> numbers_;
};

// Leads: each token opens a chain.
class leads final : public submissions {
  public:
    leads() : submissions("submit_lead", "run_lead") {}

  private:
    void submit_all() override {
        for (std::uint64_t i = 0; i < many; ++i) {
            extra_work();
            lead_.post();
        }
    }

    operation<void()> lead_ =
        stage_.get().operation("lead", {.external_calls = {"child"}}, [this] { stage_.ran(); });
};

// P3: a hundred tokens create a hundred children each. The figure is per child; what a parent costs
// is in it.
class children : public work {
  public:
    void run() final {
        stage_.hold();
        for (std::uint64_t i = 0; i < many / children_each; ++i) parent_.post();
        stage_.release(name_, many);
    }

  protected:
    children(std::string_view name, const operation_traits& parents)
        : name_(name), parent_(stage_.get().operation("parent", parents, [this] {
              for (std::uint64_t i = 0; i < children_each; ++i) child_.post();
          })) {}

  private:
    std::string_view name_;
    stage stage_;
    operation<void()> child_ = stage_.get().operation("child", [this] { stage_.ran(); });
    operation<void()> parent_;
};

class free_children final : public children {
  public:
    free_children() : children("spawn", {}) {}
};

class chained_children final : public children {
  public:
    chained_children() : children("chain", {.external_calls = {"child"}}) {}
};

// P4: one half as a token, the other as a call.
class fork_join final : public work {
  public:
    void run() override {
        stage_.hold();
        root_.post();
        stage_.release("fork_join", forks, ending::the_work);
        expect("Fibonacci's number", result_, 6765);
    }

  private:
    static constexpr unsigned depth = 20;
    static constexpr std::uint64_t forks = 10'945;  // one for each addition

    std::uint64_t fibonacci(unsigned n) {
        if (n < 2) return n;
        stage_.ran();
        token<std::uint64_t> left = fork_(n - 1);
        const std::uint64_t right = fibonacci(n - 2);
        return std::move(left).get() + right;
    }

    stage stage_;
    operation<std::uint64_t(unsigned)> fork_ =
        stage_.get().operation("fork", [this](unsigned n) { return fibonacci(n); });
    operation<void()> root_ = stage_.get().operation("root", [this] {
        result_ = fibonacci(depth);
        stage_.end();
    });
    std::uint64_t result_ = 0;
};

template <class Work>
std::unique_ptr<work> make() {
    return std::make_unique<Work>();
}

constexpr entry works[] = {
    {"tokens", make<empty_tokens>},
    {"results", make<results>},
    {"bulk", make<bulk_tokens>},
    {"large_bulk", make<large_bulk>},
    {"sticky", make<sticky_tokens>},
    {"serial", make<serial_tokens>},
    {"leads", make<leads>},
    {"dependents", make_dependents},
    {"coroutines", make_coroutines},
    {"children", make<free_children>},
    {"chains", make<chained_children>},
    {"fork_join", make<fork_join>},
    {"neighbours", make_neighbours},
    {"stealing", make_stealing},
};

}  // namespace

std::span<const entry> all_works() { return works; }

}  // namespace tokengate::guard
