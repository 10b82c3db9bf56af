// SPDX-License-Identifier: Apache-2.0
#include "token/labels.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "token/fork_lock.hpp"

namespace tokengate::detail {

namespace {

struct all_labels {
    std::mutex lock;
    std::map<std::string, const operation_label*, std::less<>> first;  ///< by name
};

// Never destroyed, and neither are the labels: handles may be dropped by static destructors.
all_labels& labels() { return only_one<all_labels>(); }

const operation_label* make_label(std::string_view name, const frame_type* type) {
    auto made = std::make_unique<operation_label>();
    made->name = name;
    made->type = type;
    return made.release();
}

}  // namespace

const operation_label& label_for(std::string_view name, const frame_type* type) {
    all_labels& all = labels();
    const std::scoped_lock guard(all.lock);
    auto found = all.first.find(name);
    if (found == all.first.end()) {
        found = all.first.try_emplace(std::string(name), nullptr).first;
    }
    if (found->second == nullptr) found->second = make_label(name, type);
    const operation_label* each = found->second;
    while (each->type != type) {
        // Relaxed: only written under the lock.
        const operation_label* next = each->next.load(std::memory_order_relaxed);
        if (next == nullptr) {
            next = make_label(name, type);
            // Release: pairs with the acquire in find_label().
            each->next.store(next, std::memory_order_release);
        }
        each = next;
    }
    return *each;
}

const operation_label& first_label_for(std::string_view name) {
    static_cast<void>(label_for(name, nullptr));
    all_labels& all = labels();
    const std::scoped_lock guard(all.lock);
    return *all.first.find(name)->second;
}

}  // namespace tokengate::detail
