// SPDX-License-Identifier: Apache-2.0
/// @file
/// The typed part of a bulk: arguments and outcomes of all its tokens in one piece of memory, and
/// the loop that runs a stretch of them. Protocol: lib/domain/bulk.md.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <tokengate/detail/frame.hpp>

namespace tokengate::detail {

struct bulk_core;

/// Elements [first, last) of a bulk while a thread runs them; on its stack.
struct stretch {
    std::size_t first = 0;
    std::size_t last = 0;
    /// The first element that is not to be begun any more: `last`, until somebody who kills takes
    /// over what lies behind that.
    std::atomic<std::size_t> end{0};
    /// Not 0: somebody looks at this stack, and the element that has run has to wait for that.
    const std::atomic<unsigned>* onlookers = nullptr;
    std::size_t next = 0;                     ///< at its end: the first element that was not begun
    token_state late = token_state::created;  ///< how the last one has returned if it was killed
    std::size_t failed = 0;                   ///< elements that have thrown
};

/// Somebody may be looking at the stack that this stretch is on, and at the element whose callable
/// has returned and whose state says `executing`: waits until nobody does. It says so again then.
void wait_for_onlookers(stretch& part, std::atomic<token_state>& state) noexcept;

/// What the library must know of the bulks of one callable; one constant for each.
struct bulk_type {
    /// Runs the elements of a stretch, up to its end at that time.
    void (*run)(bulk_core&, stretch&) noexcept;
    /// Destroys the arguments of elements that will not run.
    void (*drop_arguments)(bulk_core&, std::size_t first, std::size_t last) noexcept;
    /// An element has returned so, but was killed before: nobody has seen what it has left.
    void (*drop_late)(bulk_core&, std::size_t index, token_state outcome) noexcept;
    /// Destroys all that is left, the bulk too.
    void (*destroy)(bulk_core&) noexcept;
};

/// What its handle and its shares have of a bulk. Written by the thread that submits, until it has
/// submitted the share that reads it.
struct bulk_core {
    const bulk_type* type = nullptr;
    operation_core* operation = nullptr;  ///< valid while an element has not ended
    std::size_t count = 0;
    std::size_t admitted = 0;  ///< the arguments from this element on are still the bulk's own
    std::size_t stretch_length = 1;
    /// What elements of its operation took before says how long its stretches are.
    bool paced = true;
    std::uint64_t first_id = 0;
    std::atomic<std::uint32_t> holders{1};  ///< the handle, and each share
    std::atomic<bool> failed{false};        ///< an element has thrown
    /// Where each element is: `created` until it has ended, then `completed` or `failed`; in
    /// between `executing` for a moment, or `created` again while somebody looks.
    std::atomic<token_state>* states = nullptr;
    std::byte* slots = nullptr;       ///< see bulk_slot
    std::vector<token_node*> shares;  ///< in order; the handle's, which holds a reference of each
};

/// Submits all elements. Blocks at limits.
/// @throws runtime_stopped, runtime_forked, std::bad_alloc; elements that were admitted before run
///         nevertheless
void submit_bulk(bulk_core& bulk);

/// Ends the handle: the elements run on all the same.
void let_go(bulk_core& bulk) noexcept;

/// Where an element is in its life.
[[nodiscard]] token_state state_of(const bulk_core& bulk, std::size_t index) noexcept;

/// Kills what has not ended, for a reason, if it is not empty. True if this ended anything.
/// @throws std::bad_alloc if there is a reason
bool kill(bulk_core& bulk, std::string_view reason);

/// Throws token_killed for an element that was killed.
[[noreturn]] void throw_undelivered(const bulk_core& bulk, std::size_t index);

/// Where an element with result R keeps its result or its exception.
template <class R>
struct bulk_slot {
    using value_type = stored_result<R>;
    alignas(value_type) alignas(std::exception_ptr)
        std::byte bytes[std::max(sizeof(value_type), sizeof(std::exception_ptr))];

    [[nodiscard]] static std::byte* at(bulk_core& bulk, std::size_t index) noexcept {
        return bulk.slots + index * sizeof(bulk_slot);
    }
    [[nodiscard]] static value_type& value(bulk_core& bulk, std::size_t index) noexcept {
        return *std::launder(reinterpret_cast<value_type*>(at(bulk, index)));
    }
    [[nodiscard]] static std::exception_ptr& error(bulk_core& bulk, std::size_t index) noexcept {
        return *std::launder(reinterpret_cast<std::exception_ptr*>(at(bulk, index)));
    }
};

/// Arguments and outcomes of a bulk with result R and parameters P: this head, then the arrays.
template <class R, class... P>
struct bulk_store : bulk_core {
    using arguments = std::tuple<std::decay_t<P>...>;
    using value_type = stored_result<R>;
    static constexpr bool no_arguments = sizeof...(P) == 0;
    static constexpr bool trivial_arguments = std::is_trivially_destructible_v<arguments>;
    static constexpr bool trivial_result = std::is_trivially_destructible_v<value_type>;
    using slot = bulk_slot<R>;

    arguments* first_argument = nullptr;

    [[nodiscard]] static bulk_store& of(bulk_core& bulk) noexcept {
        return static_cast<bulk_store&>(bulk);
    }

    /// A bulk of `count` elements without arguments yet.
    /// @throws std::bad_alloc
    [[nodiscard]] static bulk_store& make(operation_core& operation, const bulk_type& type,
                                          std::size_t count) {
        const layout places(count);
        void* memory = ::operator new (places.bytes, std::align_val_t{alignment});
        auto* made = ::new (memory) bulk_store;
        made->type = &type;
        made->operation = &operation;
        made->count = count;
        auto* start = static_cast<std::byte*>(memory);
        made->first_argument = reinterpret_cast<arguments*>(start + places.arguments_at);
        made->slots = start + places.slots_at;
        made->states = reinterpret_cast<std::atomic<token_state>*>(start + places.states_at);
        std::uninitialized_value_construct_n(made->states, count);
        return *made;
    }

    /// Without arguments and outcomes.
    static void free(bulk_store& store) noexcept {
        store.~bulk_store();
        ::operator delete (&store, std::align_val_t{alignment});
    }

  private:
    static constexpr std::size_t alignment =
        std::max({cache_line, alignof(arguments), alignof(slot)});

    struct layout {
        explicit layout(std::size_t count) {
            // What does not fit into the address space does not fit into memory.
            constexpr std::size_t element = sizeof(arguments) + sizeof(slot) + 1;
            if (count > (~std::size_t{0} - 4096) / 2 / element) throw std::bad_alloc();
            arguments_at = round_up(sizeof(bulk_store), alignment);
            slots_at = round_up(arguments_at + (no_arguments ? 0 : count * sizeof(arguments)),
                                alignof(slot));
            states_at = slots_at + count * sizeof(slot);
            bytes = states_at + count;
        }
        std::size_t arguments_at;
        std::size_t slots_at;
        std::size_t states_at;
        std::size_t bytes;
    };
    static_assert(sizeof(std::atomic<token_state>) == 1);
};

/// Makes a bulk of `count` elements, whose arguments `build(place)` builds one by one, and submits
/// it. Null if it is empty.
/// @throws what build() throws, and as submit_bulk()
template <class R, class... P, class Build>
[[nodiscard]] bulk_core* make_bulk(operation_core& operation, const bulk_type& type,
                                   std::size_t count, Build&& build) {
    using store = bulk_store<R, P...>;
    if (count == 0) return nullptr;
    store& made = store::make(operation, type, count);
    // Those that were built so far, if one cannot be.
    made.count = 0;
    struct owner {
        store* held;
        ~owner() {
            if (held != nullptr) let_go(*held);
        }
    } guard{&made};
    if constexpr (store::no_arguments) {
        made.count = count;
    } else {
        for (; made.count < count; ++made.count) build(made.first_argument + made.count);
    }
    submit_bulk(made);
    return std::exchange(guard.held, nullptr);
}

/// Runs the elements of a stretch: run_one(index) gives the state of each.
template <class RunOne>
[[gnu::always_inline]] inline void run_elements(std::atomic<token_state>* states, stretch& part,
                                                RunOne&& run_one) noexcept {
    std::size_t i = part.first;
    std::size_t end = 0;
    do {
        const token_state outcome = run_one(i);
        // Who looks from here on waits for what comes next.
        states[i].store(token_state::executing, std::memory_order_relaxed);
        // Between the store and the look for onlookers; pairs with the heavy fence of those, which
        // makes of this one more than it is (where heavy fences do not work, there is always
        // somebody to be waited for).
        std::atomic_signal_fence(std::memory_order_seq_cst);
        // Acquire: pairs with the release of who looked; the end that was set is seen below.
        if (part.onlookers->load(std::memory_order_acquire) != 0) [[unlikely]]
            wait_for_onlookers(part, states[i]);
        // Relaxed: see above.
        end = part.end.load(std::memory_order_relaxed);
        if (end <= i) [[unlikely]] {
            // Nobody looks at it any more.
            states[i].store(token_state::created, std::memory_order_relaxed);
            part.late = outcome;
            ++i;
            break;
        }
        // Release: whoever reads the state sees the outcome, and does not see arguments.
        states[i].store(outcome, std::memory_order_release);
        ++i;
    } while (i < end);
    part.next = i;
}

/// The functions of a bulk of callable F with parameters P and result R.
template <class F, class R, class... P>
struct bulk_functions {
    using store = bulk_store<R, P...>;
    using slot = bulk_slot<R>;

    static void run(bulk_core& bulk, stretch& part) noexcept {
        auto& callable = static_cast<callable_core<F>&>(*bulk.operation).callable;
        store& own = store::of(bulk);
        run_elements(own.states, part,
                     [&](std::size_t i) { return run_one(callable, own, i, part); });
    }

    static void drop_arguments(bulk_core& bulk, std::size_t first, std::size_t last) noexcept {
        if constexpr (!store::trivial_arguments) {
            for (std::size_t i = first; i < last; ++i) drop_argument(store::of(bulk), i);
        }
    }

    static void drop_late(bulk_core& bulk, std::size_t index, token_state outcome) noexcept {
        if (outcome == token_state::completed) {
            drop_value(bulk, index);
        } else {
            std::destroy_at(&slot::error(bulk, index));
        }
    }

    static void destroy(bulk_core& bulk) noexcept {
        store& own = store::of(bulk);
        drop_arguments(own, own.admitted, own.count);
        // Relaxed: whoever has let go of the bulk before had done with it.
        if (!store::trivial_result || own.failed.load(std::memory_order_relaxed)) {
            for (std::size_t i = 0; i < own.count; ++i) drop_outcome(own, i);
        }
        store::free(own);
    }

    static constexpr bulk_type type{
        .run = run, .drop_arguments = drop_arguments, .drop_late = drop_late, .destroy = destroy};

  private:
    static void drop_outcome(bulk_core& bulk, std::size_t index) noexcept {
        // Relaxed: nobody else holds the bulk.
        const token_state state = bulk.states[index].load(std::memory_order_relaxed);
        if (state == token_state::completed) drop_value(bulk, index);
        if (state == token_state::failed) std::destroy_at(&slot::error(bulk, index));
    }

    static token_state run_one(F& callable, store& own, std::size_t i, stretch& part) noexcept {
        try {
            ::new (slot::at(own, i)) typename store::value_type(invoke(callable, own, i));
        } catch (...) {
            fail(own, i, part);
            if constexpr (!store::trivial_arguments) drop_argument(own, i);
            return token_state::failed;
        }
        if constexpr (!store::trivial_arguments) {
            // A destructor that throws fails the token.
            try {
                std::destroy_at(&own.first_argument[i]);
            } catch (...) {
                drop_value(own, i);
                fail(own, i, part);
                return token_state::failed;
            }
        }
        return token_state::completed;
    }

    static void fail(store& own, std::size_t i, stretch& part) noexcept {
        ::new (slot::at(own, i)) std::exception_ptr(std::current_exception());
        ++part.failed;
        // Relaxed: published with the end of the stretch.
        own.failed.store(true, std::memory_order_relaxed);
    }

    static void drop_argument(store& own, std::size_t i) noexcept {
        try {
            std::destroy_at(&own.first_argument[i]);
        } catch (...) {
            // It has failed or was killed; nobody is left whom this could concern.
        }
    }

    static void drop_value([[maybe_unused]] bulk_core& bulk,
                           [[maybe_unused]] std::size_t index) noexcept {
        if constexpr (!store::trivial_result) {
            try {
                std::destroy_at(&slot::value(bulk, index));
            } catch (...) {
                // Nobody holds the token any more; there is nobody to tell.
            }
        }
    }

    static stored_result<R> invoke(F& callable, [[maybe_unused]] store& own,
                                   [[maybe_unused]] std::size_t i) {
        if constexpr (store::no_arguments) {
            std::tuple<> nothing;
            return invoke_stored<R>(callable, nothing);
        } else {
            return invoke_stored<R, P...>(callable, own.first_argument[i]);
        }
    }
};

}  // namespace tokengate::detail
