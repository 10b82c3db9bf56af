// SPDX-License-Identifier: Apache-2.0
// Lines of serial keys that a paused token holds up. Protocol: backlog.md, "Serial keys".
#include "domain/backlog.hpp"
#include "domain/share.hpp"
#include "locality/strands.hpp"

namespace tokengate::detail {

// Of a token that is in a list. Whoever kills it comes to let_line_go() before it leaves its
// strand: so a token that still waits has not left.
void backlog::hold_line_up(token_node& node) noexcept {
    if (!node.serial || node.state.phase() != token_state::waiting) return;
    node.line->hold_up(paused_ || node.state.paused());
}

void backlog::hold_lines_up() noexcept {
    // Of a serial one no more are set aside than it has keys.
    if (!operation_.serial) return;
    for_each_line([&](line& which) {
        for (token_node* each = which.first; each != nullptr; each = strand_link(*each)) {
            hold_line_up(*each);
        }
    });
}

void backlog::let_line_go(token_node& node) noexcept {
    const std::scoped_lock guard(lock_);
    node.line->hold_up(false);
}

}  // namespace tokengate::detail
