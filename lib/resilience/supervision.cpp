// SPDX-License-Identifier: Apache-2.0
#include "resilience/supervision.hpp"

#include <map>
#include <mutex>
#include <new>

#include <tokengate/detail/frame.hpp>

#include "resilience/supervisor.hpp"
#include "token/fork_lock.hpp"

namespace tokengate::detail {

namespace {

struct supervised_type {
    frame_type type;  ///< first, so that its address is that of the whole
    const frame_type* plain;
    std::size_t offset;  ///< of the record
};

token_state run_supervised(token_node& node) noexcept {
    return node.operation->supervised_by->run(node);
}

bool put_back_supervised(token_node& node, bool entry_in_hand) noexcept {
    return node.operation->supervised_by->put_back(node, entry_in_hand);
}

void drop_supervised(token_node& node) noexcept {
    // While it has its place in the limits: arguments are part of what is limited.
    plain_frame(node.type()).drop_arguments(node);
    node.operation->supervised_by->let_go(node);
}

struct all_supervised_types {
    std::mutex lock;
    std::map<const frame_type*, supervised_type> by_plain;
};

// Never destroyed: tokens refer to them.
all_supervised_types& supervised_types() { return only_one<all_supervised_types>(); }

const supervised_type& whole_of(const frame_type& type) noexcept {
    return reinterpret_cast<const supervised_type&>(type);
}

}  // namespace

unsigned attempts_of(const token_node& node) noexcept {
    if (node.supervised) {
        // Relaxed: a number to look at.
        return supervision_of(node).attempts.load(std::memory_order_relaxed);
    }
    const token_state now = node.state.phase();
    return now == token_state::executing || now == token_state::completed ||
                   now == token_state::failed
               ? 1
               : 0;
}

supervision::supervision(token_node& which) noexcept
    : alarm(supervisor::waits_too_long), node(which) {}

const frame_type& supervised_frame(const frame_type& type) {
    if (type.run == run_supervised) return type;
    all_supervised_types& all = supervised_types();
    const std::scoped_lock guard(all.lock);
    const std::size_t offset = round_up(type.size, alignof(supervision));
    const auto [where, added] =
        all.by_plain.try_emplace(&type, supervised_type{type, &type, offset});
    if (added) {
        frame_type& made = where->second.type;
        made.run = run_supervised;
        made.put_back = put_back_supervised;
        made.drop_arguments = drop_supervised;
        made.size = offset + sizeof(supervision);
        made.size_class = size_class_of(made.size);
        made.bulk = nullptr;
    }
    return where->second.type;
}

const frame_type& plain_frame(const frame_type& supervised) noexcept {
    return *whole_of(supervised).plain;
}

supervision& supervision_of(token_node& node) noexcept {
    void* const where = at_offset(node, whole_of(node.type()).offset);
    return *std::launder(static_cast<supervision*>(where));
}

const supervision& supervision_of(const token_node& node) noexcept {
    const void* const where = at_offset(node, whole_of(node.type()).offset);
    return *std::launder(static_cast<const supervision*>(where));
}

}  // namespace tokengate::detail
