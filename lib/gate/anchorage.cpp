// SPDX-License-Identifier: Apache-2.0
// What anchors a call, until its node holds it.
#include <cstdint>
#include <cstring>

#include "gate/gate.hpp"

namespace tokengate::detail {

gate::anchorage::~anchorage() {
    if (line_ != nullptr) crew_.strands.leave(*line_);
    if (pin_) crew_.sticky_keys.release(pin_->slot);
}

unsigned gate::anchorage::take(const operation_core& operation, call_key key, unsigned candidate,
                               bool in_chain) {
    if (operation.serial) {
        const auto entered = crew_.strands.enter({.high = key.hash, .low = key.second}, candidate);
        line_ = entered.which;
        first_ = entered.first;
        return line_->domain();
    }
    const pin held = crew_.sticky_keys.acquire(key.hash, candidate);
    // A chain's domain goes before that of a key. If the key is free or there too, others follow.
    if (in_chain && held.domain != candidate) {
        crew_.sticky_keys.release(held.slot);
        return candidate;
    }
    pin_ = held;
    first_ = held.first;
    return held.domain;
}

void gate::anchorage::move_into(token_node& node) noexcept {
    if (line_ != nullptr) node.line = line_;
    if (pin_) {
        node.pin = {.slot = pin_->slot, .domain = static_cast<std::uint16_t>(pin_->domain)};
    }
    line_ = nullptr;
    pin_.reset();
}

void gate::anchorage::settle(token_node& node, std::uint64_t position) noexcept {
    std::uint64_t word = position;
    if (line_ != nullptr) word = reinterpret_cast<std::uintptr_t>(line_);
    if (pin_) {
        const pinned_place pin{.slot = pin_->slot,
                               .domain = static_cast<std::uint16_t>(pin_->domain)};
        word = 0;
        std::memcpy(&word, &pin, sizeof pin);
    }
    node.settle(line_ != nullptr, pin_.has_value(), word);
    line_ = nullptr;
    pin_.reset();
}

held_key gate::anchorage::move_into_hold(runtime_core& runtime, unsigned domain) noexcept {
    const held_key held{
        .runtime = &runtime, .line = line_, .slot = pin_ ? pin_->slot : 0, .domain = domain};
    line_ = nullptr;
    pin_.reset();
    return held;
}

}  // namespace tokengate::detail
