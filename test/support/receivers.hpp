// SPDX-License-Identifier: Apache-2.0
/// @file
/// Receivers that keep what comes, with stdexec or with the stand-in for it.
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include <stdexec/execution.hpp>

#include <tokengate/control.hpp>

#include "hold.hpp"

// Its name differs among versions of stdexec; the build looks which it is.
#ifndef TOKENGATE_RECEIVER_TAG
#define TOKENGATE_RECEIVER_TAG stdexec::receiver_tag
#endif

namespace tokengate::test {

/// What has come of an operation.
template <class T>
class record {
  public:
    using kept = std::conditional_t<
        std::is_void_v<T>, bool,
        std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>>;

    std::atomic<int> values{0};
    std::atomic<int> errors{0};
    std::atomic<int> stops{0};
    std::optional<kept> value;  ///< this and the rest are written before those are counted
    std::exception_ptr error;
    std::thread::id where;
    unsigned domain = 0;
    stdexec::inplace_stop_token stop;  ///< what the receiver says
    std::function<void()> then;        ///< called when something has come

    [[nodiscard]] int completions() const { return values + errors + stops; }

    /// True if exactly this has come; waits until something has.
    [[nodiscard]] bool ends_by(const std::atomic<int>& way) const {
        return eventually([&] { return completions() != 0; }) && completions() == 1 && way == 1;
    }

    void count(std::atomic<int>& way) {
        where = std::this_thread::get_id();
        domain = this_token::domain();
        // Before it is counted: then the operation state may be gone.
        const std::function<void()> next = then;
        ++way;
        if (next) next();
    }
};

template <class T>
class recorder {
  public:
    using receiver_concept = TOKENGATE_RECEIVER_TAG;

    explicit recorder(record<T>& to) noexcept : to_(&to) {}

    template <class... V>
    void set_value(V&&... value) && noexcept {
        if constexpr (std::is_void_v<T>) {
            static_assert(sizeof...(V) == 0);
            to_->value.emplace(true);
        } else if constexpr (std::is_reference_v<T>) {
            to_->value.emplace(&value...);
        } else {
            to_->value.emplace(std::forward<V>(value)...);
        }
        to_->count(to_->values);
    }
    void set_error(std::exception_ptr error) && noexcept {
        to_->error = std::move(error);
        to_->count(to_->errors);
    }
    void set_stopped() && noexcept { to_->count(to_->stops); }

    struct environment {
        stdexec::inplace_stop_token stop;
        [[nodiscard]] stdexec::inplace_stop_token query(stdexec::get_stop_token_t) const noexcept {
            return stop;
        }
    };
    [[nodiscard]] environment get_env() const noexcept { return {to_->stop}; }

  private:
    record<T>* to_;
};

/// True if that is what was thrown.
template <class Error>
[[nodiscard]] bool holds(const std::exception_ptr& error) {
    try {
        if (error != nullptr) std::rethrow_exception(error);
    } catch (const Error&) {
        return true;
    } catch (...) {}
    return false;
}

/// A sender that is connected to a recorder.
template <class T, class Sender>
class run_of {
  public:
    explicit run_of(Sender from, stdexec::inplace_stop_token stop = {})
        : state((seen.stop = stop, stdexec::connect(std::move(from), recorder<T>(seen)))) {}

    void start() noexcept { stdexec::start(state); }

    record<T> seen;

  private:
    stdexec::connect_result_t<Sender, recorder<T>> state;
};

}  // namespace tokengate::test
