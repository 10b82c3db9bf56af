// SPDX-License-Identifier: Apache-2.0
// The deque of a worker and its thieves (lib/domain/deque.md), under many schedules.
#include "domain/deque.hpp"

#include <array>
#include <cstddef>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/detail/node.hpp>

#include "schedule.hpp"
#include "sleep/event_count.hpp"
#include "sleep/fence.hpp"
#include "token/index_stack.hpp"

namespace tokengate::test {
namespace {

using detail::atomic;
using detail::event_count;
using detail::index_stack;
using detail::steal_outcome;
using detail::token_node;
using detail::work_deque;

/// Tokens that may be taken once each.
struct taken_once {
    static constexpr std::size_t tokens = 6;
    std::array<token_node, tokens> nodes;
    std::array<int, tokens> taken{};

    void take(const token_node* node) {
        const auto which = static_cast<std::size_t>(node - nodes.data());
        must(which < tokens, "what was taken is no token");
        must(++taken[which] == 1, "a token was taken twice");
    }
    void check() {
        for (const int each : taken) must(each == 1, "a token was lost");
    }
};

/// An owner that pushes and pops as it likes on a ring of two, and two thieves.
struct owner_and_thieves : taken_once {
    work_deque deque{2};
    atomic<bool> over{false};
    std::size_t stolen_last[2] = {};

    void own() {
        std::size_t pushed = 0;
        while (pushed < tokens) {
            switch (choice(4)) {
                case 0:
                    if (token_node* node = deque.pop()) take(node);
                    break;
                case 1:
                    if (pushed > 0 && deque.pop_if(nodes[pushed - 1])) take(&nodes[pushed - 1]);
                    break;
                default:
                    if (deque.push(nodes[pushed])) {
                        ++pushed;
                    } else {
                        must(!deque.has_room() || deque.room() > 0, "full, and not full");
                        pause();
                    }
            }
        }
        while (token_node* node = deque.pop()) take(node);
        must(deque.pop() == nullptr && deque.seems_empty(), "something is left");
        over.store(true);
    }
    void threads(schedule& run) {
        run.thread([this] { own(); });
        for (int i = 0; i < 2; ++i) {
            run.thread([this] {
                const token_node* last = nullptr;
                while (!over.load()) {
                    const auto got = deque.steal();
                    if (got.outcome != steal_outcome::taken) {
                        pause();
                        continue;
                    }
                    must(last == nullptr || last < got.node, "the oldest is not stolen first");
                    last = got.node;
                    take(got.node);
                }
            });
        }
    }
};

/// Thieves that sleep when they find nothing, and an owner that looks for sleepers after a push.
struct sleeping_thieves : taken_once {
    work_deque deque{8};
    event_count pushed;
    atomic<int> left{static_cast<int>(tokens)};

    void threads(schedule& run) {
        run.thread([this] {
            for (token_node& each : nodes) {
                must(deque.push(each), "there is room for all");
                detail::full_fence();
                if (pushed.has_waiters()) pushed.notify_one();
            }
        });
        for (int i = 0; i < 2; ++i) {
            run.thread([this] {
                while (left.load() > 0) {
                    const auto got = deque.steal();
                    if (got.outcome == steal_outcome::taken) {
                        take(got.node);
                        if (left.fetch_sub(1) == 1) pushed.notify_all();
                        continue;
                    }
                    const auto ticket = pushed.prepare();
                    if (left.load() == 0 || !deque.seems_empty()) {
                        pushed.cancel();
                    } else {
                        pushed.wait(ticket);
                    }
                }
            });
        }
    }
};

/// A stack of numbers that threads pop and push back, with the word of who has one as a witness.
struct free_list {
    static constexpr std::uint32_t numbers = 2;
    index_stack stack{numbers, true};
    std::array<int, numbers> held{};

    void threads(schedule& run) {
        for (int i = 0; i < 3; ++i) {
            run.thread([this] {
                for (int round = 0; round < 3; ++round) {
                    const auto mine = stack.pop();
                    if (!mine) continue;
                    must(*mine < numbers && ++held[*mine] == 1, "a number was given twice");
                    pause();
                    --held[*mine];
                    stack.push(*mine);
                }
            });
        }
    }
    void check() {
        for (std::uint32_t i = 0; i < numbers; ++i) must(stack.pop().has_value(), "one was lost");
        must(!stack.pop(), "there is one too many");
    }
};

}  // namespace

TEST_CASE("a_token_of_a_deque_is_taken_once") { explore<owner_and_thieves>(); }

TEST_CASE("no_token_lies_in_a_deque_while_thieves_sleep") { explore<sleeping_thieves>(); }

TEST_CASE("a_number_of_a_free_list_has_one_holder") { explore<free_list>(); }

}  // namespace tokengate::test
