// SPDX-License-Identifier: Apache-2.0
/// @file
/// The arguments of a call as a value that other calls can be compared with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <tokengate/detail/key.hpp>
#include <tokengate/detail/parts.hpp>

namespace tokengate::detail {

// What == cannot compare, or not as key_hash() sees it: equal values must have equal hashes. Each
// has a key_equal() below.
template <class T>
inline constexpr bool is_key_comparable = deeply_comparable<T>;
template <class T>
inline constexpr bool is_key_comparable<std::reference_wrapper<T>> = true;
template <class T>
inline constexpr bool is_key_comparable<std::optional<T>> = is_key_comparable<T>;
template <class... T>
inline constexpr bool is_key_comparable<std::variant<T...>> = (is_key_comparable<T> && ...);

template <class T>
[[nodiscard]] bool key_equal(const T& a, const T& b) {
    return static_cast<bool>(a == b);
}
/// Two references are equal if they refer to one object.
template <class T>
[[nodiscard]] bool key_equal(const std::reference_wrapper<T>& a,
                             const std::reference_wrapper<T>& b) {
    return std::addressof(a.get()) == std::addressof(b.get());
}
template <class T>
[[nodiscard]] bool key_equal(const std::optional<T>& a, const std::optional<T>& b);
template <class... T>
[[nodiscard]] bool key_equal(const std::variant<T...>& a, const std::variant<T...>& b);

template <class T>
[[nodiscard]] bool key_equal(const std::optional<T>& a, const std::optional<T>& b) {
    if (!a || !b) return a.has_value() == b.has_value();
    return key_equal(*a, *b);
}
template <class... T>
[[nodiscard]] bool key_equal(const std::variant<T...>& a, const std::variant<T...>& b) {
    if (a.index() != b.index()) return false;
    if (a.valueless_by_exception()) return true;
    return [&]<std::size_t... i>(std::index_sequence<i...>) {
        return ((a.index() == i && key_equal(*std::get_if<i>(&a), *std::get_if<i>(&b))) || ...);
    }
    (std::index_sequence_for<T...>{});
}

/// Stored argument types whose calls can be duplicates of each other: they have a hash, can be
/// compared, and can be copied.
template <class... D>
concept coalescible = ((hashable<D> && is_key_comparable<D> && deeply_copyable<D>)&&...);

/// The arguments of one call, to find out whether another call has the same.
struct call_value {
    explicit call_value(std::uint64_t hash_of_arguments) noexcept : hash(hash_of_arguments) {}
    virtual ~call_value() = default;
    call_value(const call_value&) = delete;
    call_value& operator=(const call_value&) = delete;

    /// True if the other has arguments of the same types, and each is equal to its counterpart.
    /// Pointers, smart pointers and std::ref stand for the object itself. A floating-point NaN
    /// equals nothing, itself included; -0.0 equals 0.0. Cost: a comparison of each argument;
    /// compare the hashes first. Throws what a user's operator== throws.
    [[nodiscard]] virtual bool equals(const call_value& other) const = 0;

    const std::uint64_t hash;  ///< what is equal has equal ones
};

/// Owns copies of the arguments, of the types that the token stores. What they refer to (as
/// std::string_view, a pointer or std::ref does) must live as long as this.
template <class... D>
    requires coalescible<D...>
class arguments_value final : public call_value {
  public:
    /// @param seed  where hashes begin, see hash_arguments()
    /// Throws what a copy or a user's hash throws, std::bad_alloc.
    template <class... A>
    explicit arguments_value(std::uint64_t seed, const A&... arguments)
        : arguments_value(seed, std::tuple<D...>(as_parameter_untouched<D>(arguments)...)) {}

    [[nodiscard]] bool equals(const call_value& other) const override {
        const auto* same_types = dynamic_cast<const arguments_value*>(&other);
        if (same_types == nullptr) return false;
        return [&]<std::size_t... i>(std::index_sequence<i...>) {
            return (key_equal(std::get<i>(arguments_), std::get<i>(same_types->arguments_)) && ...);
        }
        (std::index_sequence_for<D...>{});
    }

  private:
    arguments_value(std::uint64_t seed, std::tuple<D...>&& arguments)
        : call_value(std::apply(
              [&](const D&... each) { return hash_arguments<D...>(seed, each...); }, arguments)),
          arguments_(std::move(arguments)) {}

    std::tuple<D...> arguments_;
};

/// The value of a call with stored argument types D. Null if such calls cannot be compared, or not
/// with these arguments before they are moved. Throws as arguments_value.
template <class... D, class... A>
[[nodiscard]] std::unique_ptr<call_value> value_of_call([[maybe_unused]] std::uint64_t seed,
                                                        [[maybe_unused]] const A&... arguments) {
    if constexpr (coalescible<D...> &&
                  ((std::is_same_v<A, D> || std::is_constructible_v<D, const A&>)&&...)) {
        return std::make_unique<arguments_value<D...>>(seed, arguments...);
    } else {
        return nullptr;
    }
}

}  // namespace tokengate::detail
