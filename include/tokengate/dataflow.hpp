// SPDX-License-Identifier: Apache-2.0
/// @file
/// Calls that come after other tokens without taking their results.
#pragma once

#include <concepts>
#include <ranges>
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

namespace detail {

template <class T>
concept handle_or_handles = std::derived_from<std::remove_cvref_t<T>, token_handle> ||
    (std::ranges::input_range<T>&&
         std::derived_from<std::remove_cvref_t<std::ranges::range_reference_t<T>>, token_handle>);

/// Adds a token, or those of a range.
template <handle_or_handles T>
void add_handles(std::vector<token_handle>& to, const T& tokens) {
    if constexpr (std::derived_from<T, token_handle>) {
        to.push_back(tokens);
    } else {
        for (const auto& each : tokens) to.push_back(each);
    }
}

}  // namespace detail

template <class R>
template <class Operation>
auto token<R>::then(const Operation& next) const& {
    return token(*this).then(next);
}

template <class R>
template <class Operation>
auto token<R>::then(const Operation& next) && {
    if constexpr (std::is_void_v<R>) {
        std::vector<detail::token_handle> tokens;
        tokens.push_back(std::move(*this));
        return after_tokens(std::move(tokens)).call(next);
    } else {
        return next(std::move(*this));
    }
}

}  // namespace tokengate
