// SPDX-License-Identifier: Apache-2.0
/// @file
/// Calls that come after other tokens without taking their results.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>
#include <vector>

#include <tokengate/operation.hpp>
#include <tokengate/token.hpp>

namespace tokengate {

/// Tokens that calls are to come after: see runtime::after().
///
/// Thread safety: as any other object.
class after_tokens {
  public:
    /// Makes a token of an operation that waits until all of these tokens have completed, and those
    /// among its arguments. If one of them has no result, it fails with dependency_failed. May be
    /// called often.
    /// @throws as the operation
    template <class Operation, class... A>
        requires std::derived_from<Operation, detail::operation_handle>
    // NOLINTNEXTLINE(modernize-use-nodiscard): the token runs, held or not.
    auto call(const Operation& operation, A&&... args) const& {
        return operation.call_after(std::vector(tokens_), std::forward<A>(args)...);
    }
    /// The same, once: it lets go of these tokens.
    template <class Operation, class... A>
        requires std::derived_from<Operation, detail::operation_handle>
    auto call(const Operation& operation, A&&... args) && {
        return operation.call_after(std::move(tokens_), std::forward<A>(args)...);
    }

    /// For the library.
    explicit after_tokens(std::vector<detail::token_handle>&& tokens) noexcept
        : tokens_(std::move(tokens)) {}

  private:
    std::vector<detail::token_handle> tokens_;
};

template <class R>
template <class Operation>
auto token<R>::then(const Operation& next) const& {
    return token(*this).then(next);
}

template <class R>
template <class Operation>
auto token<R>::then(const Operation& next) && {
    if constexpr (std::is_void_v<R>) {
        return after_tokens(detail::handles_of(*this)).call(next);
    } else {
        return next(std::move(*this));
    }
}

}  // namespace tokengate
