// SPDX-License-Identifier: Apache-2.0
// Loops whose blocks are tokens. Free blocks are a bulk of their own kind, which knows its elements
// by their number and has no arguments (lib/domain/bulk.md); blocks with a place are single tokens.
#include <tokengate/parallel.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <tokengate/detail/calls.hpp>
#include <tokengate/error.hpp>
#include <tokengate/token.hpp>

#include "domain/worker.hpp"
#include "runtime_core.hpp"

namespace tokengate::detail {

namespace {

// Twice as many as a worker has stretches, so that these have two blocks each. Not tuned: no loop
// that was measured depends on it.
constexpr std::size_t blocks_for_each_worker = 16;

const char* name_of(loop_kind kind) noexcept {
    return kind == loop_kind::parallel_for ? "parallel_for" : "parallel_reduce";
}

std::size_t workers_of(const settings& chosen) noexcept {
    return std::size_t{chosen.cores} * chosen.workers_per_core;
}

/// What all blocks of a loop share.
class loop_state {
  public:
    loop_state(const block_loop& of, block_loop::body what, void* context) noexcept
        : of_(of), what_(what), context_(context) {}

    /// From now on no block begins. Relaxed, both: one that begins at the same time may.
    void end() noexcept { over_.store(true, std::memory_order_relaxed); }
    [[nodiscard]] bool over() const noexcept { return over_.load(std::memory_order_relaxed); }

    /// @throws what the body throws; it is kept
    void run(std::size_t block) {
        try {
            what_(context_, block, of_.elements_of(block));
        } catch (...) {
            fail(block);
            throw;
        }
    }

    /// Throws what the first block has thrown, if one has. None runs any more.
    void rethrow() {
        const std::scoped_lock guard(lock_);
        if (error_ != nullptr) std::rethrow_exception(std::move(error_));
    }

  private:
    void fail(std::size_t block) noexcept {
        end();
        const std::scoped_lock guard(lock_);
        if (error_ != nullptr && failed_ < block) return;
        failed_ = block;
        error_ = std::current_exception();
    }

    const block_loop of_;
    const block_loop::body what_;
    void* const context_;
    std::atomic<bool> over_{false};
    std::mutex lock_;
    std::exception_ptr error_;  ///< under lock_
    std::size_t failed_ = 0;    ///< under lock_: whose it is
};

/// A block fails with this, if another one had failed before it began. Nobody sees it.
struct not_begun {};

/// The callable of tokens that are blocks, and its argument.
struct block_of_loop {
    loop_state* loop;
    std::size_t number;
};
struct run_block {
    void operator()(const block_of_loop& block) const {
        if (block.loop->over()) throw not_begun();
        block.loop->run(block.number);
    }
};

/// A bulk whose elements are the blocks of a loop: this head, then their states. It outlives a loop
/// that ends in a deadlock.
struct loop_bulk : bulk_core {
    explicit loop_bulk(const block_loop& of, block_loop::body what, void* context) noexcept
        : loop(of, what, context) {}

    loop_state loop;

    [[nodiscard]] static loop_bulk& of(bulk_core& bulk) noexcept {
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): by its bulk_type.
        return static_cast<loop_bulk&>(bulk);
    }

    /// @throws std::bad_alloc
    [[nodiscard]] static loop_bulk& make(operation_core& operation, const block_loop& of,
                                         block_loop::body what, void* context) {
        const std::size_t count = of.blocks();
        if (count > (~std::size_t{0} >> 1U) - sizeof(loop_bulk)) throw std::bad_alloc();
        void* memory = ::operator new (sizeof(loop_bulk) + count, std::align_val_t{cache_line});
        auto* made = ::new (memory) loop_bulk(of, what, context);
        made->type = &loop_type;
        made->operation = &operation;
        made->count = count;
        made->states = reinterpret_cast<std::atomic<token_state>*>(static_cast<std::byte*>(memory) +
                                                                   sizeof(loop_bulk));
        std::uninitialized_value_construct_n(made->states, count);
        return *made;
    }

  private:
    static void run(bulk_core& bulk, stretch& part) noexcept {
        loop_bulk& own = of(bulk);
        run_elements(own.states, part, [&](std::size_t i) { return run_one(own, i, part); });
    }

    static token_state run_one(loop_bulk& own, std::size_t i, stretch& part) noexcept {
        if (!own.loop.over()) [[likely]] {
            try {
                own.loop.run(i);
                return token_state::completed;
            } catch (...) {
                // The loop has it.
            }
        }
        ++part.failed;
        // Relaxed: published with the end of the stretch.
        own.failed.store(true, std::memory_order_relaxed);
        return token_state::failed;
    }

    static void drop_arguments(bulk_core&, std::size_t, std::size_t) noexcept {}

    static void drop_late(bulk_core&, std::size_t, token_state) noexcept {}

    static void destroy(bulk_core& bulk) noexcept {
        loop_bulk& own = of(bulk);
        own.~loop_bulk();
        ::operator delete (&own, std::align_val_t{cache_line});
    }

    static constexpr bulk_type loop_type{
        .run = run, .drop_arguments = drop_arguments, .drop_late = drop_late, .destroy = destroy};
};

// Until all blocks that were admitted have ended, and none runs any more, killed or not: they use
// the caller's stack.
void wait_for(loop_bulk& bulk) {
    for (token_node* each : bulk.shares) {
        wait_terminal(*each, helping::anything);
        if (each->state.phase() == token_state::killed) join(*each);
    }
}

// The last ones first: when these have ended most others have, and nobody sleeps for each of them.
void wait_for(const std::vector<token<void>>& blocks) {
    for (std::size_t left = blocks.size(); left > 0; --left) {
        const token<void>& each = blocks[left - 1];
        each.wait();
        if (each.state() == token_state::killed) each.join();
    }
}

// Calls submit(), and waits. If either throws, no other block begins.
template <class Blocks, class Submit>
void submit_and_wait(loop_state& loop, Blocks& blocks, Submit&& submit) {
    try {
        try {
            submit();
        } catch (...) {
            loop.end();
            wait_for(blocks);
            throw;
        }
        wait_for(blocks);
    } catch (...) {
        loop.end();
        throw;
    }
}

void run_free(operation_core& operation, const block_loop& of, block_loop::body what,
              void* context) {
    struct owner {
        loop_bulk& held;
        ~owner() { let_go(held); }
    } own{loop_bulk::make(operation, of, what, context)};
    loop_bulk& bulk = own.held;
    // All loops share the operation, and who has chosen the grain has chosen how much to run at
    // once.
    bulk.paced = false;
    submit_and_wait(bulk.loop, bulk, [&] { submit_bulk(bulk); });
    bulk.loop.rethrow();
    for (const token_node* each : bulk.shares) {
        if (each->state.phase() == token_state::completed) continue;
        std::size_t first = 0;
        while (state_of(bulk, first) == token_state::completed && first + 1 < bulk.count) ++first;
        throw_undelivered(bulk, first);
    }
}

// How many blocks the first domain has, which is about what each of them has.
std::size_t first_piece(std::size_t blocks, const affinity* where) noexcept {
    if (where == nullptr) return blocks;
    std::size_t size = 1;
    while (size < blocks && where->domain(size) == where->domain(0)) ++size;
    return size;
}

void run_singly(operation_core& operation, const block_loop& of, block_loop::body what,
                void* context, const affinity* where) {
    auto loop = std::make_unique<loop_state>(of, what, context);
    std::vector<token<void>> blocks;
    if (of.blocks() > blocks.max_size()) throw std::bad_alloc();
    blocks.reserve(of.blocks());
    try {
        submit_and_wait(*loop, blocks, [&] {
            const auto submit = [&](std::size_t i) {
                const call_key key{.hash = where != nullptr ? where->key(i) : 0, .second = 0};
                blocks.push_back(token<void>::adopt(make_keyed_call<void, block_of_loop>(
                    operation, *operation.type, admission::wait, holders::caller, key,
                    block_of_loop{.loop = loop.get(), .number = i})));
            };
            // To one domain after the other, so that all of them begin at once.
            const std::size_t apart = first_piece(of.blocks(), where);
            for (std::size_t first = 0; first < apart; ++first) {
                submit(first);
                for (std::size_t i = first; of.blocks() - i > apart;) submit(i += apart);
            }
        });
    } catch (const deadlock&) {
        // Blocks may still run, which look at it. Not so after other exceptions.
        static_cast<void>(loop.release());
        throw;
    }
    loop->rethrow();
    for (const token<void>& each : blocks) {
        if (each.state() != token_state::completed) each.get();
    }
}

// Where the token executes that calls.
runtime_core& executing_runtime(loop_kind kind) {
    const worker* const self = worker::current();
    if (self == nullptr || !self->executing.busy()) {
        throw error(std::string(name_of(kind)) +
                    "() was called without a runtime, and outside of a token, whose runtime it "
                    "could use: pass the runtime as the first argument, or an affinity as the "
                    "last");
    }
    return *self->executing.innermost()->operation->runtime;
}

}  // namespace

void throw_wrong_grain(long long elements) {
    throw error("a loop was given a grain of " + std::to_string(elements) +
                ", which is how many elements a block has: allowed are 1 and more, and "
                "tokengate::automatic_grain");
}

loop_place::loop_place(runtime& rt, weight weight_class) noexcept
    : runtime_(&core_of(rt)), weight_class_(weight_class) {}

loop_place::loop_place(const affinity& where) noexcept
    : runtime_(where.owner()), weight_class_(where.weight_class()), where_(&where) {}

block_loop::block_loop(loop_kind kind, const loop_place& place, std::size_t count, grain_size grain)
    : kind_(kind), place_(place), runtime_(place.owner()), count_(count) {
    const affinity* const where = place.where();
    if (runtime_ == nullptr && where == nullptr) runtime_ = &executing_runtime(kind);
    if (count == 0) return;
    grain_ = grain.elements();
    if (grain_ == 0) {
        const std::size_t wanted = where != nullptr
                                       ? where->size()
                                       : blocks_for_each_worker * workers_of(runtime_->chosen());
        grain_ = blocks_of(count, std::max<std::size_t>(wanted, 1));
    }
    blocks_ = blocks_of(count, grain_);
    if (where == nullptr || blocks_ <= where->size()) return;
    throw error(std::string(name_of(kind)) + "() has " + std::to_string(blocks_) +
                " blocks, more than its affinity has places, which are " +
                std::to_string(where->size()) +
                ": make the affinity for block_count(range, grain) blocks, or choose a larger "
                "grain");
}

void block_loop::run(body what, void* context) const {
    if (blocks_ == 0) return;
    const bool keyed = place_.where() != nullptr;
    operation_core& operation = runtime_->loop_operation(kind_, place_.weight_class(), keyed);
    // Relaxed: whoever changes it counts on no particular call.
    if (operation.special.load(std::memory_order_relaxed)) {
        run_singly(operation, *this, what, context, place_.where());
    } else {
        run_free(operation, *this, what, context);
    }
}

operation_core& runtime_core::loop_operation(loop_kind kind, weight weight_class, bool keyed) {
    own_operation& place =
        loops_[static_cast<std::size_t>(kind)][index_of(weight_class)][keyed ? 1 : 0];
    return declare_once(place, [&] {
        operation_traits traits{.weight = weight_class};
        if (keyed) traits.sticky = sticky::by_arguments();
        return declaration{
            .name = std::string(name_of(kind)) + " (" + std::string(to_string(weight_class)) +
                    (keyed ? ", anchored)" : ")"),
            .traits = std::move(traits),
            .core = std::make_unique<callable_core<run_block>>(
                &frame_functions<run_block, void, block_of_loop>::type, run_block{})};
    });
}

}  // namespace tokengate::detail
