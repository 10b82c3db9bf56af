// SPDX-License-Identifier: Apache-2.0
/// @file
/// Names and frame types of operations, for the life of the process: tokens may outlive their
/// runtime, and programs have few names.
#pragma once

#include <atomic>
#include <string_view>

#include <tokengate/detail/node.hpp>

namespace tokengate::detail {

/// The label of a name and a frame type. Takes a lock.
/// @throws std::bad_alloc
[[nodiscard]] const operation_label& label_for(std::string_view name, const frame_type* type);

/// The first label of a name, where find_label() may begin for any type. Takes a lock.
/// @throws std::bad_alloc
[[nodiscard]] const operation_label& first_label_for(std::string_view name);

/// The label of the same name as `first` for a frame type. One comparison for operations of one
/// signature, a short walk for generic ones; a lock at the first call of a new type only.
/// @throws std::bad_alloc
[[gnu::always_inline, nodiscard]] inline const operation_label* find_label(
    const operation_label& first, const frame_type& type) {
    for (const operation_label* each = &first; each != nullptr;
         // Acquire: pairs with the release in label_for(), which publishes the label.
         each = each->next.load(std::memory_order_acquire)) {
        if (each->type == &type) return each;
    }
    return &label_for(first.name, &type);
}

}  // namespace tokengate::detail
