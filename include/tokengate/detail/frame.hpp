// SPDX-License-Identifier: Apache-2.0
/// @file
/// The typed part of a token, behind its node: first the outcome, at a place that depends on the
/// result type alone, then the arguments.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include <tokengate/detail/duplicate.hpp>
#include <tokengate/detail/key.hpp>
#include <tokengate/detail/node.hpp>

namespace tokengate::detail {

/// The sizes of the pool's nodes, in bytes: small steps where most tokens are.
inline constexpr std::array<std::size_t, 7> node_sizes{64, 128, 192, 256, 512, 1024, 1216};

/// Nodes with their frames live in the pool up to this size, in bytes; what is larger goes to the
/// heap, leaving a pointer. The largest nodes are for frames of this size with a record of their
/// supervisor.
inline constexpr std::size_t largest_pooled = 1024;

/// The smallest class of nodes that holds `bytes` (at most the largest size).
[[nodiscard]] constexpr std::uint8_t size_class_of(std::size_t bytes) noexcept {
    std::uint8_t chosen = 0;
    while (node_sizes[chosen] < bytes) ++chosen;
    return chosen;
}

/// Results larger than this, in bytes, go to the heap.
inline constexpr std::size_t largest_inline_result = 512;

/// Nodes start at multiples of this many bytes.
inline constexpr std::size_t cache_line = 64;

struct lead_traits;
class backlog;
class supervisor;

/// Which keys the calls of an operation have.
enum class call_keys : std::uint8_t {
    none,          ///< it is not sticky
    one,           ///< its anchor's name alone
    by_arguments,  ///< a name and all arguments of the call
};

/// A declared operation: what all its tokens share. Set at registration, but for the type and the
/// pace.
struct operation_core {
    explicit operation_core(const frame_type* frames) noexcept : type(frames) {}
    virtual ~operation_core() = default;
    operation_core(const operation_core&) = delete;
    operation_core& operator=(const operation_core&) = delete;

    const frame_type* type;                  ///< null if each call has a frame type of its own
    const operation_label* label = nullptr;  ///< with its type, if it has one
    runtime_core* runtime = nullptr;
    const lead_traits* lead = nullptr;  ///< its calls open chains
    call_key name_key;                  ///< hashes of the operation's or anchor's name
    std::uint32_t number = 0;           ///< in its runtime, from 0 up
    weight weight_class = weight::medium;
    call_keys keys = call_keys::none;
    bool prepares = false;      ///< something is done with the arguments of a call before it begins
    bool serial = false;        ///< tokens with equal keys run one at a time
    bool staggered = false;     ///< always placed by position, also when a worker creates it
    bool anchors = false;       ///< its calls have keys or open chains
    bool only_anchors = false;  ///< and there is nothing else to them
    /// There is more to its calls; each of them is made by itself. Relaxed: whoever changes it
    /// while calls come counts on no particular one of them.
    std::atomic<bool> special{false};
    bool always_special = false;      ///< by its traits
    bool needs_entries = false;       ///< its tokens are begun by who has taken their entry only
    std::atomic<bool> closed{false};  ///< calls are admitted from inside tokens only
    bool measures = false;            ///< its calls are told how many bytes their arguments take
    bool coalesces = false;           ///< its calls are compared with those in flight
    /// Where its tokens wait while they may not run.
    backlog* aside = nullptr;
    /// What watches over its tokens: over all, or over those whose calls have limits of their own.
    supervisor* supervised_by = nullptr;
    bool supervised = false;  ///< over all
    /// How long a token of a bulk of it runs, in nanoseconds and roughly; 0 until one has run.
    /// Workers write it, bulks are cut by it.
    std::atomic<std::uint32_t> pace{0};
};

/// Throws operation_error: an argument of this call cannot be hashed, or not before it is moved.
[[noreturn]] void throw_unhashable(const operation_core& operation);

/// Throws operation_error: an argument of this call cannot be compared with that of another one, or
/// not before it is moved.
[[noreturn]] void throw_incomparable(const operation_core& operation);

/// The key of a call with stored argument types D: of what the parameters will be.
template <class... D, class... A>
[[nodiscard, gnu::noinline]] call_key key_of_call(const operation_core& core,
                                                  const A&... arguments) {
    if constexpr (((hashable<D> &&
                    (std::is_same_v<A, D> || std::is_constructible_v<D, const A&>)) &&
                   ...)) {
        const auto hash_from = [&](std::uint64_t seed) {
            return hash_arguments<D...>(seed, as_parameter_untouched<D>(arguments)...);
        };
        return {.hash = hash_from(core.name_key.hash),
                .second = core.serial ? hash_from(core.name_key.second) : 0};
    } else {
        throw_unhashable(core);
    }
}

/// Owns the callable of an operation.
template <class F>
struct callable_core final : operation_core {
    template <class G>
    callable_core(const frame_type* frames, G&& source)
        : operation_core(frames), callable(std::forward<G>(source)) {}

    F callable;
};

/// What stands for a result in memory: nothing for void, a pointer for a reference.
template <class R>
struct result_storage {
    static_assert(!std::is_rvalue_reference_v<R>,
                  "tokengate: an operation cannot return an rvalue reference, because the token "
                  "outlives what it would refer to. Return the object by value.");
    using type = std::remove_cv_t<R>;
};
template <class R>
struct result_storage<R&> {
    using type = R*;
};
template <>
struct result_storage<void> {
    struct type {};
};
template <class R>
using stored_result = typename result_storage<R>::type;

/// An object of type T in raw memory: `T` itself, or a pointer to one on the heap.
template <class T, bool boxed>
struct raw_place {
    using content = std::conditional_t<boxed, T*, T>;
    static constexpr std::size_t alignment = alignof(content);
    static constexpr std::size_t bytes = sizeof(content);
    static constexpr bool trivial = !boxed && std::is_trivially_destructible_v<T>;

    [[nodiscard]] static T& at(void* where) noexcept {
        auto* found = std::launder(static_cast<content*>(where));
        if constexpr (boxed) {
            return **found;
        } else {
            return *found;
        }
    }
    [[nodiscard]] static const T& at(const void* where) noexcept {
        const auto* found = std::launder(static_cast<const content*>(where));
        if constexpr (boxed) {
            return **found;
        } else {
            return *found;
        }
    }

    /// Builds the object from what `make()` returns, without a copy.
    template <class Make>
    static void build(void* where, Make&& make) {
        if constexpr (boxed) {
            ::new (where) content(new T(make()));
        } else {
            ::new (where) content(make());
        }
    }

    static void drop(void* where) {
        if constexpr (boxed) {
            delete &at(where);
        } else {
            std::destroy_at(&at(where));
        }
    }
};

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) noexcept {
    return (value + multiple - 1) / multiple * multiple;
}

[[nodiscard]] inline void* at_offset(token_node& node, std::size_t offset) noexcept {
    return reinterpret_cast<std::byte*>(&node) + offset;
}
[[nodiscard]] inline const void* at_offset(const token_node& node, std::size_t offset) noexcept {
    return reinterpret_cast<const std::byte*>(&node) + offset;
}

/// The exception of a token that has failed.
[[nodiscard]] inline std::exception_ptr& error_of(token_node& node) noexcept {
    void* const where = at_offset(node, node.type().outcome_offset);
    return *std::launder(static_cast<std::exception_ptr*>(where));
}

/// Puts it there: the token has neither arguments nor a result any more.
inline void keep_error(token_node& node, std::exception_ptr error) noexcept {
    ::new (at_offset(node, node.type().outcome_offset)) std::exception_ptr(std::move(error));
}

/// Where a token keeps its result or its exception.
template <class R>
struct outcome_place {
    using value_type = stored_result<R>;
    using value_place = raw_place<value_type, (sizeof(value_type) > largest_inline_result ||
                                               alignof(value_type) > cache_line)>;
    using error_place = raw_place<std::exception_ptr, false>;
    static constexpr std::size_t offset =
        round_up(sizeof(token_node), std::max(value_place::alignment, error_place::alignment));
    static constexpr std::size_t end = offset + std::max(value_place::bytes, error_place::bytes);

    [[nodiscard]] static value_type& value(token_node& node) noexcept {
        return value_place::at(at_offset(node, offset));
    }
    [[nodiscard]] static std::exception_ptr& error(token_node& node) noexcept {
        return error_place::at(at_offset(node, offset));
    }
};

/// Where a token keeps its arguments. They are built before the token is submitted and destroyed
/// before its outcome can be seen.
template <class R, class... P>
struct arguments_place {
    using value_type = std::tuple<std::decay_t<P>...>;
    using inline_place = raw_place<value_type, false>;
    static constexpr std::size_t inline_end =
        round_up(outcome_place<R>::end, inline_place::alignment) + inline_place::bytes;
    static constexpr bool none = sizeof...(P) == 0;
    static constexpr bool boxed =
        !none && (inline_end > largest_pooled || inline_place::alignment > cache_line);
    using place = raw_place<value_type, boxed>;
    static constexpr std::size_t offset = round_up(outcome_place<R>::end, place::alignment);
    static constexpr std::size_t end = none ? outcome_place<R>::end : offset + place::bytes;

    [[nodiscard]] static void* address(token_node& node) noexcept {
        return at_offset(node, offset);
    }

    /// May throw what an argument's constructor throws, or std::bad_alloc if boxed.
    template <class... A>
    static void build([[maybe_unused]] token_node& node, A&&... args) {
        if constexpr (!none) {
            place::build(address(node), [&] { return value_type(std::forward<A>(args)...); });
        }
    }

    /// May throw what an argument's destructor throws.
    static void drop([[maybe_unused]] token_node& node) {
        if constexpr (!none) place::drop(address(node));
    }
};

template <class F, class R, class... P>
struct bulk_functions;
template <class R, class... P>
[[nodiscard]] std::size_t stored_bytes(const token_node& node) noexcept;

/// Calls a function with result R and parameters P with arguments that are stored; what is to be
/// stored of its result.
template <class R, class... P, class F>
[[nodiscard]] stored_result<R> invoke_stored(F& callable, std::tuple<std::decay_t<P>...>& stored) {
    const auto call = [&]() -> R {
        return std::apply(
            [&](std::decay_t<P>&... args) -> R {
                return std::invoke(callable, static_cast<P&&>(args)...);
            },
            stored);
    };
    if constexpr (std::is_void_v<R>) {
        call();
        return {};
    } else if constexpr (std::is_reference_v<R>) {
        return std::addressof(call());
    } else {
        return call();
    }
}

/// The functions of a frame of callable F with parameters P and result R.
template <class F, class R, class... P>
struct frame_functions {
    using outcome = outcome_place<R>;
    using arguments = arguments_place<R, P...>;

    static token_state run(token_node& node) noexcept {
        auto& callable = static_cast<callable_core<F>&>(*node.operation).callable;
        std::exception_ptr error;
        try {
            outcome::value_place::build(at_offset(node, outcome::offset),
                                        [&] { return invoke(callable, node); });
        } catch (...) {
            error = std::current_exception();
        }
        // Arguments are gone before anyone can see the outcome. A destructor that throws fails the
        // token, unless it has failed already.
        try {
            arguments::drop(node);
        } catch (...) {
            if (error == nullptr) {
                error = std::current_exception();
                drop_outcome(node, token_state::completed);
            }
        }
        if (error == nullptr) return token_state::completed;
        ::new (at_offset(node, outcome::offset)) std::exception_ptr(std::move(error));
        return token_state::failed;
    }

    static void drop_arguments(token_node& node) noexcept {
        try {
            arguments::drop(node);
        } catch (...) {
            // The token was killed; nobody is left whom this could concern.
        }
    }

    static void drop_outcome(token_node& node, token_state state) noexcept {
        void* where = at_offset(node, outcome::offset);
        try {
            if (state == token_state::completed) outcome::value_place::drop(where);
            if (state == token_state::failed) outcome::error_place::drop(where);
        } catch (...) {
            // Nobody holds the token any more; there is nobody to tell.
        }
    }

    static constexpr frame_type type{.run = run,
                                     .drop_arguments = drop_arguments,
                                     .drop_outcome = drop_outcome,
                                     .size = arguments::end,
                                     .size_class = size_class_of(arguments::end),
                                     .trivial_result = outcome::value_place::trivial,
                                     .bulk = &bulk_functions<F, R, P...>::type,
                                     .attempt = nullptr,  // see repeatable_frame
                                     .outcome_offset = outcome::offset,
                                     .argument_bytes = stored_bytes<R, P...>};

  private:
    static stored_result<R> invoke(F& callable, [[maybe_unused]] token_node& node) {
        if constexpr (arguments::none) {
            std::tuple<> nothing;
            return invoke_stored<R>(callable, nothing);
        } else {
            return invoke_stored<R, P...>(callable, arguments::place::at(arguments::address(node)));
        }
    }
};

}  // namespace tokengate::detail

// What a frame's type refers to.
#include <tokengate/detail/bulk_frame.hpp>
#include <tokengate/detail/repeat_frame.hpp>
