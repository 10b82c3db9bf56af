// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a token that waits for others has instead of arguments. Protocol: lib/dataflow/README.md.
#pragma once

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <tokengate/detail/calls.hpp>
#include <tokengate/detail/continuation.hpp>
#include <tokengate/detail/source.hpp>

namespace tokengate::detail {

/// What one token, the dependent, waits for. It goes when the dependent, its call and all of its
/// continuations have let go of it.
class inputs {
  public:
    /// One of the tokens that are waited for.
    struct link : continuation {
        inputs* of = nullptr;
    };

    inputs(const inputs&) = delete;
    inputs& operator=(const inputs&) = delete;
    virtual ~inputs() = default;

    // NOLINTBEGIN(misc-new-delete-overloads): those below are told the size.
    static void* operator new(std::size_t bytes) { return allocate_piece(bytes); }
    static void operator delete(void* piece, std::size_t bytes) noexcept {
        free_piece(piece, bytes);
    }
    // Of arguments that have more than the usual alignment.
    static void* operator new(std::size_t bytes, std::align_val_t alignment) {
        return ::operator new(bytes, alignment);
    }
    static void operator delete(void* memory, std::align_val_t alignment) noexcept {
        ::operator delete(memory, alignment);
    }
    // NOLINTEND(misc-new-delete-overloads)

    /// Builds the arguments of the dependent out of the results of its inputs; lets go of these.
    /// @throws what their constructors throw
    virtual void build(token_node& dependent) = 0;

    /// The key of the call, once they are built.
    /// @throws what hash functions throw; operation_error
    [[nodiscard]] virtual call_key key(token_node& dependent) const = 0;

    // The library's.

    /// The call has accepted the dependent: it waits from now on, unless nothing is missing.
    void await(token_node& dependent) noexcept;

    /// The dependent has died before it got its arguments.
    void drop() noexcept;

    /// Somebody needs it no more.
    void let_go() noexcept;

  protected:
    inputs() noexcept = default;

    /// Before anything else: as many as there are, each with its token. They stay where they are.
    void expect(link* links, std::size_t count) noexcept {
        links_ = links;
        count_ = count;
    }

  private:
    static void tell(continuation& which) noexcept;
    static void show(continuation& which, waiter_visitor& to);
    void take_note(token_node& ended) noexcept;
    void one_less() noexcept;
    void detach_all() noexcept;

    link* links_ = nullptr;
    std::size_t count_ = 0;
    token_node* dependent_ = nullptr;  ///< with the reference of its entry, until it is placed
    std::atomic<std::size_t> missing_{0};
    std::atomic<std::size_t> holders_{0};
    std::atomic<bool> dropped_{false};
};

/// The inputs of a token that has no arguments yet, where its line would have a link.
[[nodiscard]] inline inputs*& inputs_of(token_node& node) noexcept {
    return reinterpret_cast<inputs*&>(strand_link(node));
}

/// The first half of a call that waits for others: begin_call() without a place.
/// @param bytes  that the arguments will take beyond the node, as far as they are there
[[nodiscard]] token_node* begin_dependent_call(operation_core& operation, const frame_type& type,
                                               admission how, std::size_t bytes);

/// The second half.
/// @throws runtime_stopped if the runtime has been stopped since; frame, room and node are gone
///         then; runtime_forked if an input was left behind by fork()
void commit_dependent_call(token_node& node, holders held_by, std::unique_ptr<inputs> waits_for);

/// Those of a call with result R and parameters P: tokens that only have to complete, and arguments
/// that are kept as S.
template <class R, class Parameters, class... S>
class inputs_of_call;
template <class R, class... P, class... S>
class inputs_of_call<R, std::tuple<P...>, S...> final : public inputs {
    using place = arguments_place<R, P...>;

  public:
    /// @throws what is thrown by the arguments' constructors; empty_token; std::bad_alloc
    template <class... A>
    explicit inputs_of_call(std::vector<token_handle>&& others, A&&... args)
        : others_(std::move(others)), sources_(keep<S>(std::forward<A>(args))...) {
        std::size_t count = 0;
        for_each_token([&](token_node&) { ++count; });
        if (count > few_.size()) many_.resize(count);
        link* const links = count > few_.size() ? many_.data() : few_.data();
        link* next = links;
        for_each_token([&](token_node& node) { (next++)->awaited = &node; });
        expect(links, count);
    }

    void build(token_node& dependent) override {
        std::apply(
            [&](S&... each) { place::build(dependent, take_value<S, std::decay_t<P>>(each)...); },
            sources_);
        // Not later: the callable may want to move their results out.
        others_.clear();
    }

    [[nodiscard]] call_key key(token_node& dependent) const override {
        const operation_core& core = *dependent.operation;
        if constexpr (place::none) {
            return core.name_key;
        } else {
            return std::apply(
                [&](const std::decay_t<P>&... args) {
                    return key_for<std::decay_t<P>...>(core, args...);
                },
                place::place::at(place::address(dependent)));
        }
    }

  private:
    template <class Visit>
    void for_each_token(Visit&& see) {
        for (token_handle& each : others_) see(handle_access::node_of(each));
        std::apply([&](S&... each) { (visit_tokens<S, std::decay_t<P>>(each, see), ...); },
                   sources_);
    }

    std::vector<token_handle> others_;
    std::tuple<S...> sources_;
    std::array<link, 3> few_;
    std::vector<link> many_;  ///< if those are too few
};

/// The bytes that an argument takes beyond its token, as far as it is there.
template <class D, bool boxed, class A>
[[nodiscard]] std::size_t bytes_so_far(const A& argument) {
    if constexpr (std::convertible_to<const A&, D>) {
        return bytes_beyond_node<D, boxed>(argument);
    } else {
        return boxed ? sizeof(D) : 0;
    }
}

/// Makes a call that waits for other tokens: for those in its arguments, and for others.
template <class R, class... P, class... A>
[[nodiscard, gnu::noinline]] token_node* make_dependent_call(operation_core& core,
                                                             const frame_type& type, admission how,
                                                             holders held_by,
                                                             std::vector<token_handle>&& others,
                                                             A&&... args) {
    using record = inputs_of_call<R, std::tuple<P...>, kept_as<A, std::decay_t<P>>...>;
    if constexpr (!(hashable<std::decay_t<P>> && ...)) {
        if (core.keys == call_keys::by_arguments) throw_unhashable(core);
    }
    const std::size_t bytes =
        core.measures ? (std::size_t{0} + ... +
                         bytes_so_far<std::decay_t<P>, arguments_place<R, P...>::boxed>(args))
                      : 0;
    token_node* const node = begin_dependent_call(core, type, how, bytes);
    if (node == nullptr) return nullptr;
    std::unique_ptr<inputs> waits_for;
    try {
        waits_for = std::make_unique<record>(std::move(others), std::forward<A>(args)...);
    } catch (...) {
        abandon_call(*node);
        throw;
    }
    commit_dependent_call(*node, held_by, std::move(waits_for));
    return node;
}

/// Makes a call, whatever its arguments are.
template <class R, class... P, class... A>
[[gnu::always_inline]] inline token_node* make_any_call(operation_core& core,
                                                        const frame_type& type, admission how,
                                                        holders held_by, A&&... args) {
    if constexpr ((std::convertible_to<A, std::decay_t<P>> && ...)) {
        return make_call<R, P...>(core, type, how, held_by, std::forward<A>(args)...);
    } else {
        return make_dependent_call<R, P...>(core, type, how, held_by, {}, std::forward<A>(args)...);
    }
}

}  // namespace tokengate::detail
