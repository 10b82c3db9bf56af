// SPDX-License-Identifier: Apache-2.0
/// @file
/// Who calls: in a header, since each way through the gate begins with it.
#pragma once

#include "domain/worker.hpp"
#include "gate/gate.hpp"

namespace tokengate::detail {

[[gnu::always_inline]] inline gate::caller gate::calling() {
    worker* const self = worker::current_of(crew_);
    return {.mine = submitters_.mine(),
            .self = self,
            .outer = self != nullptr ? self->current_chain() : nullptr};
}

}  // namespace tokengate::detail
