// SPDX-License-Identifier: Apache-2.0
/// @file
/// Process-wide locks that survive fork().
#pragma once

#include <memory>
#include <mutex>

namespace tokengate::detail {

/// Makes fork() take this lock first and release it in parent and child, so that the child never
/// finds it held by a thread that does not exist there. For locks that live as long as the process
/// and are never held together, except in the order in which they were given here. A lock that was
/// given before is taken once all the same. If it throws, nothing has changed.
/// @throws std::bad_alloc
void hold_over_fork(std::mutex& lock);

/// The one object of type T in the process, whose member `lock` fork() takes first: made when it is
/// asked for first, and never destroyed, since static destructors may ask for it.
/// @throws std::bad_alloc
template <class T>
[[nodiscard]] T& only_one() {
    static T* const the_one = [] {
        auto made = std::make_unique<T>();
        hold_over_fork(made->lock);
        return made.release();
    }();
    return *the_one;
}

}  // namespace tokengate::detail
