// SPDX-License-Identifier: Apache-2.0
/// @file
/// Something that is to happen at a time, as a part of what it happens to.
#pragma once

#include <concepts>
#include <cstdint>

namespace tokengate::detail {

class alarm;

/// What it means that an alarm of this kind rings; one constant for each kind. In two steps, since
/// an alarm may be gone as soon as whoever has armed it learns that it cannot be disarmed any more.
struct alarm_kind {
    /// First, under the lock of the timers, while the alarm is there by all means: makes sure that
    /// what it is about stays, by taking a reference to it, say. Short, and must not touch timers.
    /// @returns what is handed to ring(), or null: there is nothing to do
    void* (*claim)(alarm& which) noexcept;
    /// Then, with nothing held and the alarm perhaps gone or armed again: may take its time, run
    /// callbacks of users, arm and disarm. Other alarms are late by as long as it takes.
    void (*ring)(void* subject) noexcept;
};

/// A base of what is to be told when a time has come. It is armed, disarmed and moved by timers,
/// takes no memory besides its own, and must not end while it is armed.
///
/// Thread safety: none of its own, all its state is under the lock of its timers.
class alarm {
  public:
    alarm(const alarm&) = delete;
    alarm& operator=(const alarm&) = delete;

    [[nodiscard]] const alarm_kind& kind() const noexcept { return *kind_; }

  protected:
    explicit alarm(const alarm_kind& what) noexcept : kind_(&what) {}
    ~alarm() = default;

    /// From now on it is of another kind. While it is not armed.
    void become(const alarm_kind& what) noexcept { kind_ = &what; }

  private:
    friend class wheel;

    /// Beyond all slots of a wheel: it is not armed.
    static constexpr std::uint64_t no_slot = 0xFFFF;

    const alarm_kind* kind_;
    alarm* previous_ = nullptr;
    alarm* next_ = nullptr;
    std::uint64_t slot_ : 16 = no_slot;
    std::uint64_t tick_ : 48 = 0;  ///< when it rings
};

static_assert(sizeof(alarm) == 4 * sizeof(void*), "half a cache line of each token that has one");

/// The object whose alarm this is. Its kind says that it is one of these.
template <std::derived_from<alarm> Owner>
[[nodiscard]] Owner& owner_of(alarm& which) noexcept {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): see above.
    return static_cast<Owner&>(which);
}

}  // namespace tokengate::detail
