// SPDX-License-Identifier: Apache-2.0
/// @file
/// Operations as nodes of oneTBB's flow graphs. Not part of tokengate.hpp, since it includes
/// oneTBB's flow_graph.h: who includes this needs oneTBB's headers, and links with oneTBB.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>

#include <oneapi/tbb/flow_graph.h>

#include <tokengate/control.hpp>
#include <tokengate/detail/key.hpp>
#include <tokengate/detail/signature.hpp>
#include <tokengate/error.hpp>
#include <tokengate/operation.hpp>

namespace tokengate {

namespace detail {

/// Where the errors of a node's tokens go: a task of the graph that throws, so that wait_for_all()
/// does.
class graph_errors {
  public:
    explicit graph_errors(tbb::flow::graph& graph)
        : graph_(graph), thrower_(graph, tbb::flow::unlimited, [](const std::exception_ptr& error) {
              std::rethrow_exception(error);
              return tbb::flow::continue_msg();
          }) {}

    /// Any thread, while the graph has a wait reserved.
    void report(const std::exception_ptr& error) noexcept {
        try {
            thrower_.try_put(error);
        } catch (...) {
            // No memory for a task: the graph ends all the same.
            graph_.cancel();
        }
    }

  private:
    tbb::flow::graph& graph_;
    tbb::flow::function_node<std::exception_ptr> thrower_;
};

/// What a token of a graph's owns as its argument: the input, and the wait that the graph has
/// reserved for the token. Whichever way the token ends, its arguments are destroyed, and so that
/// wait is released: not before the callable has returned.
template <class Input, class Output>
class graph_message {
  public:
    using gateway = typename tbb::flow::async_node<Input, Output>::gateway_type;

    graph_message(const Input& input, gateway& to, graph_errors& errors)
        : input_(input), to_(&to), errors_(&errors) {
        to.reserve_wait();
    }
    graph_message(graph_message&& other) noexcept(std::is_nothrow_move_constructible_v<Input>)
        : input_(std::move(other.input_)),
          to_(std::exchange(other.to_, nullptr)),
          errors_(other.errors_),
          unwinding_(other.unwinding_) {}
    graph_message(const graph_message&) = delete;
    graph_message& operator=(const graph_message&) = delete;
    graph_message& operator=(graph_message&&) = delete;

    ~graph_message() {
        if (to_ == nullptr) return;
        // If the call itself throws, the body of the node does.
        if (!delivered_ && std::uncaught_exceptions() <= unwinding_) errors_->report(error());
        to_->release_wait();
    }

    [[nodiscard]] const Input& input() const noexcept { return input_; }

    /// The result of the callable: goes on in the graph, unless the token was killed meanwhile.
    void deliver(const Output& result) const {
        if (this_token::stop_requested()) return;
        to_->try_put(result);
        delivered_ = true;
    }

    /// The callable has thrown this; perhaps it will be called again.
    void fail(std::exception_ptr why) const noexcept { why_ = std::move(why); }

    /// Equal inputs are equal keys.
    template <class H>
        requires hashable<Input>
    // NOLINTNEXTLINE(readability-identifier-naming): Abseil's name.
    friend H AbslHashValue(H state, const graph_message& value) {
        return H::combine(std::move(state), value.input_);
    }

  private:
    [[nodiscard]] std::exception_ptr error() const noexcept {
        if (why_ != nullptr) return why_;
        try {
            return std::make_exception_ptr(
                token_killed("a token of a flow graph was killed or timed out, or its runtime was "
                             "stopped with a deadline, before it could deliver a result: the graph "
                             "is cancelled",
                             0, {}));
        } catch (...) {
            return std::current_exception();
        }
    }

    Input input_;
    gateway* to_;  ///< null: moved from
    graph_errors* errors_;
    int unwinding_ = std::uncaught_exceptions();
    // Written by the callable, one attempt at a time.
    mutable bool delivered_ = false;
    mutable std::exception_ptr why_;
};

/// A callable of one parameter, which takes that out of a message and puts its result into the
/// graph.
template <class F, class R, class P>
class graph_callable {
  public:
    using input = std::decay_t<P>;
    using output = std::conditional_t<std::is_void_v<R>, tbb::flow::continue_msg, std::decay_t<R>>;

    explicit graph_callable(F source) : callable_(std::move(source)) {}

    void operator()(const graph_message<input, output>& message) {
        try {
            if constexpr (std::is_void_v<R>) {
                call(message.input());
                message.deliver({});
            } else {
                message.deliver(call(message.input()));
            }
        } catch (...) {
            message.fail(std::current_exception());
            throw;
        }
    }

  private:
    R call(const input& value) {
        if constexpr (std::is_lvalue_reference_v<P>) {
            return std::invoke(callable_, value);
        } else {
            return std::invoke(callable_, input(value));
        }
    }

    using stored = std::conditional_t<wants_stop_token<F>, stoppable<F, R, P>, F>;
    stored callable_;
};

template <class F, class R, class... P>
[[nodiscard]] auto make_graph_callable(F source, std::type_identity<R(P...)>) {
    static_assert(sizeof...(P) == 1,
                  "tokengate: a callable for a flow graph takes one parameter, the message that "
                  "comes into its node (and a std::stop_token before it, if it likes)");
    return graph_callable<F, R, P...>(std::move(source));
}

}  // namespace detail

/// Makes a callable of one parameter into one for the nodes of oneTBB's flow graphs: declare an
/// operation with it, with whatever traits, and make nodes of that, in any graph. It may have a
/// std::stop_token in front, as others. Each run gets a copy of the input, unless it takes that by
/// const reference. From apps/examples/flow_graph.cpp:
/// @code
/// auto square = rt.operation("square", {.weight = tg::weight::heavy},
///                            tg::for_flow_graph([](int n) { return n * n; }));
/// @endcode
template <class F>
    requires detail::has_signature<F>
[[nodiscard]] auto for_flow_graph(F&& callable) {
    using stored = std::decay_t<F>;
    return detail::make_graph_callable<stored>(std::forward<F>(callable),
                                               std::type_identity<detail::signature_of<stored>>{});
}

/// A node of a flow graph that makes a token of an operation for each message that comes in, and
/// sends its result on when the token is done. No thread waits for that: the token itself puts the
/// result into the graph, and oneTBB's threads go on. A tbb::flow::async_node, to make edges from
/// and to. From apps/examples/flow_graph.cpp:
/// @code
/// auto squares = tg::make_async_node(graph, square);
/// tbb::flow::make_edge(numbers, squares);
/// tbb::flow::make_edge(squares, sum);
/// @endcode
/// wait_for_all() of the graph waits for its tokens, too. If a callable throws, and is not to be
/// called again, the graph is cancelled, and wait_for_all() throws what the callable threw, when
/// all other tokens have ended. So it does, with token_killed, if a token ends without a result: is
/// killed, timed out, or not run because its runtime was out of time; and with what the call threw,
/// if that came to nothing (runtime_stopped, call_refused). Afterwards graph.reset() makes the
/// graph usable again. A token that is killed while it runs releases the graph when its callable
/// has returned.
///
/// The results come in no particular order. A call that blocks at a limit of the operation or the
/// runtime holds up the thread of oneTBB's that makes it.
///
/// Node and graph must live until wait_for_all() has returned, and the runtime as well. Thread
/// safety and cost: as tbb::flow::async_node, and a call; beyond that a task of oneTBB's for each
/// result.
template <class Input, class Output>
class async_operation_node : private detail::graph_errors,
                             public tbb::flow::async_node<Input, Output> {
    using base = tbb::flow::async_node<Input, Output>;

  public:
    /// An operation whose callable was made by for_flow_graph().
    using operation_type = operation<void(const detail::graph_message<Input, Output>&)>;

    /// A node in this graph, without edges.
    async_operation_node(tbb::flow::graph& graph, const operation_type& work)
        : graph_errors(graph),
          base(graph, tbb::flow::unlimited,
               [work, errors = static_cast<graph_errors*>(this)](
                   const Input& input, typename base::gateway_type& gateway) {
                   work.post(detail::graph_message<Input, Output>(input, gateway, *errors));
               }) {}

    async_operation_node(const async_operation_node&) = delete;
    async_operation_node& operator=(const async_operation_node&) = delete;
};

/// A node of this operation, whose callable was made by for_flow_graph().
template <class Input, class Output>
[[nodiscard]] async_operation_node<Input, Output> make_async_node(
    tbb::flow::graph& graph,
    const operation<void(const detail::graph_message<Input, Output>&)>& work) {
    return async_operation_node<Input, Output>(graph, work);
}

}  // namespace tokengate
