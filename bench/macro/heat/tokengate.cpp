// SPDX-License-Identifier: Apache-2.0
// P12 by tokens. All are heavy, so that all domains take part.
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "macro/heat/contenders.hpp"
#include "support/workers.hpp"

namespace tokengate::bench::heat {

namespace {

class tokens : public with_runtime<stepper> {
  public:
    using with_runtime::with_runtime;

  protected:
    using on_tile = operation<void(int, int)>;

    // A token for each tile to heat it up.
    [[nodiscard]] std::uint64_t expected_tokens() const override {
        return tile_steps() + size().tiles() + besides();
    }

    // Tokens of a repetition that are no tile's.
    [[nodiscard]] virtual std::uint64_t besides() const noexcept { return 0; }

    // One token for each tile, and all of them done.
    void for_each_tile(const on_tile& call) {
        size().for_each_tile([&call](int row, int column) { call.post(row, column); });
        host().wait_idle();
    }
};

// Where a tile runs is decided anew in each step.
class free_steps : public tokens {
  public:
    using tokens::tokens;

    void run() override {
        for (step_ = 0; step_ < steps(); ++step_) for_each_tile(relax_);
    }

  protected:
    void heat_up() override { for_each_tile(heat_); }

  private:
    std::uint64_t step_ = 0;  // changed only while no token is in flight
    on_tile heat_ = host().operation("heat", {.weight = weight::heavy},
                                     [this](int row, int column) { field().heat_up(row, column); });
    on_tile relax_ =
        host().operation("relax", {.weight = weight::heavy},
                         [this](int row, int column) { field().relax(row, column, step_); });
};

// A key for each tile, held from the beginning to the end.
class sticky_tiles : public tokens {
  public:
    // Keys are dealt to the domains in turn. In this order each domain gets a piece of the plate in
    // one piece, so that few borders lie between domains.
    sticky_tiles(const setting& given, scale wanted) : tokens(given, wanted) {
        const std::uint64_t each = (size().tiles() + given.threads - 1) / given.threads;
        for (std::uint64_t turn = 0; turn < each; ++turn) {
            for (std::uint64_t tile = turn; tile < size().tiles(); tile += each) {
                const int number = static_cast<int>(tile);
                homes_.push_back(heat_.hold(number / size().columns, number % size().columns));
            }
        }
    }

  protected:
    [[nodiscard]] static operation_traits traits() {
        return {.weight = weight::heavy, .sticky = sticky::by_anchor_and_arguments("tile")};
    }

    void heat_up() override { for_each_tile(heat_); }

  private:
    on_tile heat_ = host().operation("heat", traits(),
                                     [this](int row, int column) { field().heat_up(row, column); });
    std::vector<key_hold> homes_;
};

// All tiles of a step, then all of the next.
class steps : public sticky_tiles {
  public:
    using sticky_tiles::sticky_tiles;

    void run() override {
        for (step_ = 0; step_ < stepper::steps(); ++step_) for_each_tile(relax_);
    }

  private:
    std::uint64_t step_ = 0;  // changed only while no token is in flight
    on_tile relax_ = host().operation(
        "relax", traits(), [this](int row, int column) { field().relax(row, column, step_); });
};

// The same, but the loop is a token as well, so that no thread besides the workers takes part: one
// of them runs tiles while it waits.
class inside : public sticky_tiles {
  public:
    inside(const setting& given, scale wanted)
        : sticky_tiles(given, wanted), tiles_(size().tiles()) {}

    void run() override { loop_().wait(); }

  private:
    void all_steps() {
        for (step_ = 0; step_ < stepper::steps(); ++step_) {
            std::size_t next = 0;
            size().for_each_tile(
                [this, &next](int row, int column) { tiles_[next++] = relax_(row, column); });
            wait_all(tiles_);
        }
    }

    [[nodiscard]] std::uint64_t besides() const noexcept override { return 1; }

    std::uint64_t step_ = 0;  // changed only while no token of a tile is in flight
    std::vector<token<void>> tiles_;
    on_tile relax_ = host().operation(
        "relax", traits(), [this](int row, int column) { field().relax(row, column, step_); });
    operation<void()> loop_ =
        host().operation("loop", {.weight = weight::heavy}, [this] { all_steps(); });
};

// The same as loops over the tiles, with an affinity instead of keys.
class loops : public tokens {
  public:
    using tokens::tokens;

    void run() override {
        for (std::uint64_t step = 0; step < stepper::steps(); ++step) {
            for_tiles([this, step](int row, int column) { field().relax(row, column, step); });
        }
    }

  protected:
    void heat_up() override {
        for_tiles([this](int row, int column) { field().heat_up(row, column); });
    }

  private:
    template <class Body>
    void for_tiles(const Body& body) {
        const auto columns = static_cast<std::uint64_t>(size().columns);
        const auto on_place = [&](std::uint64_t tile) {
            body(static_cast<int>(tile / columns), static_cast<int>(tile % columns));
        };
        parallel_for(size().tiles(), 1, on_place, homes_);
    }

    const affinity homes_{host(), size().tiles()};
};

// A tile takes its next step as soon as it and its neighbours have taken this one: the last of them
// submits it.
class dependencies : public sticky_tiles {
  public:
    dependencies(const setting& given, scale wanted)
        : sticky_tiles(given, wanted), progress_(std::make_unique<progress[]>(size().tiles())) {}

    void run() override {
        size().for_each_tile(
            [this](int row, int column) { at(row, column).reset(needed(row, column)); });
        for_each_tile(relax_);
    }

  private:
    struct alignas(64) progress {
        std::uint64_t step = 0;  // touched by the tile's own tokens only
        // Who of the tile and its neighbours is missing before an even step, and before an odd one.
        // A neighbour can be one step ahead, never two.
        std::array<std::atomic<int>, 2> missing{};

        void reset(int all) noexcept {
            step = 0;
            // Relaxed: published with the first tokens.
            for (std::atomic<int>& each : missing) each.store(all, std::memory_order_relaxed);
        }
    };

    [[nodiscard]] progress& at(int row, int column) noexcept {
        return progress_[static_cast<std::size_t>(row * size().columns + column)];
    }

    [[nodiscard]] bool exists(int row, int column) const noexcept {
        return row >= 0 && row < size().rows && column >= 0 && column < size().columns;
    }

    [[nodiscard]] int needed(int row, int column) const noexcept {
        int count = 0;
        for_those_around(row, column, [&count](int, int) { ++count; });
        return count;
    }

    // The tile itself and its neighbours.
    template <class Body>
    void for_those_around(int row, int column, const Body& body) const {
        body(row, column);
        if (exists(row - 1, column)) body(row - 1, column);
        if (exists(row + 1, column)) body(row + 1, column);
        if (exists(row, column - 1)) body(row, column - 1);
        if (exists(row, column + 1)) body(row, column + 1);
    }

    void take_step(int row, int column) {
        const std::uint64_t next = at(row, column).step + 1;
        field().relax(row, column, at(row, column).step);
        at(row, column).step = next;
        if (next == stepper::steps()) return;
        for_those_around(row, column, [this, next](int y, int x) {
            std::atomic<int>& missing = at(y, x).missing[next % 2];
            // Acquire and release: the last one has seen what all of them wrote.
            if (missing.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
            // Relaxed: nobody counts here again before the token that follows has run.
            missing.store(needed(y, x), std::memory_order_relaxed);
            relax_.post(y, x);
        });
    }

    std::unique_ptr<progress[]> progress_;
    on_tile relax_ = host().operation("relax", traits(),
                                      [this](int row, int column) { take_step(row, column); });
};

}  // namespace

void add_tokengate(scale wanted, std::vector<entry>& contenders) {
    contenders.push_back(enter_at<free_steps>(wanted, "free", family::tokengate));
    contenders.push_back(enter_at<steps>(wanted, "steps", family::tokengate));
    contenders.push_back(enter_at<loops>(wanted, "loops", family::tokengate));
    contenders.push_back(enter_at<inside>(wanted, "inside", family::tokengate));
    contenders.push_back(enter_at<dependencies>(wanted, "dependencies", family::tokengate));
}

}  // namespace tokengate::bench::heat
