// SPDX-License-Identifier: Apache-2.0
// The lock-free stack of slot numbers.
#include "token/index_stack.hpp"

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace tokengate::test {
namespace {

using detail::index_stack;

/// Takes and gives back at random from several threads; true if no number was ever held twice and
/// all are there in the end.
template <class Stack>
bool keeps_every_number_once(Stack& stack, std::uint32_t capacity, unsigned threads,
                             unsigned rounds) {
    std::vector<std::atomic<int>> held(capacity);
    std::atomic<bool> twice{false};
    std::atomic<unsigned> ready{0};
    std::vector<std::thread> crowd;
    for (unsigned t = 0; t < threads; ++t) {
        crowd.emplace_back([&] {
            ready.fetch_add(1);
            while (ready.load() < threads) std::this_thread::yield();
            for (unsigned i = 0; i < rounds; ++i) {
                const auto first = stack.pop();
                const auto second = stack.pop();
                for (const auto& each : {first, second}) {
                    if (each && held[*each].fetch_add(1) != 0) twice = true;
                }
                for (const auto& each : {first, second}) {
                    if (!each) continue;
                    held[*each].fetch_sub(1);
                    stack.push(*each);
                }
            }
        });
    }
    for (std::thread& each : crowd) each.join();
    std::vector<int> left(capacity);
    std::uint32_t count = 0;
    while (const auto each = stack.pop()) {
        ++left[*each];
        if (++count > capacity) break;
    }
    for (const int each : left) {
        if (each != 1) return false;
    }
    return !twice && count == capacity;
}

/// The same stack without the count of changes in its head, with room for another thread between
/// the two steps of a pop: the ABA problem.
class stack_without_count {
  public:
    explicit stack_without_count(std::uint32_t capacity) : links_(capacity) {
        for (std::uint32_t i = 0; i < capacity; ++i) links_[i] = i + 1 < capacity ? i + 1 : none;
        head_ = 0;
    }
    void push(std::uint32_t number) {
        std::uint32_t head = head_.load();
        do {
            links_[number].store(head);
        } while (!head_.compare_exchange_weak(head, number));
    }
    std::optional<std::uint32_t> pop() {
        std::uint32_t head = head_.load();
        while (head != none) {
            const std::uint32_t below = links_[head].load();
            std::this_thread::yield();
            if (head_.compare_exchange_weak(head, below)) return head;
        }
        return std::nullopt;
    }

  private:
    static constexpr std::uint32_t none = ~std::uint32_t{0};
    std::vector<std::atomic<std::uint32_t>> links_;
    std::atomic<std::uint32_t> head_;
};

}  // namespace

TEST_CASE("a_stack_of_numbers_knows_how_many_there_are") {
    index_stack stack(5, false);
    CHECK(stack.size() == 0);
    stack.push(3);
    CHECK(stack.size() == 1);
    stack.push(1);
    CHECK(stack.size() == 2);
    static_cast<void>(stack.pop());
    CHECK(stack.size() == 1);
    CHECK(index_stack(5, true).size() == 5);
    CHECK(index_stack(0, true).size() == 0);
}

TEST_CASE("a_full_stack_hands_out_all_numbers_from_0_up") {
    index_stack stack(5, true);
    for (std::uint32_t i = 0; i < 5; ++i) CHECK(stack.pop() == i);
    CHECK_FALSE(stack.pop().has_value());
}

TEST_CASE("the_last_number_pushed_is_the_first_popped") {
    index_stack stack(8, false);
    CHECK_FALSE(stack.pop().has_value());
    for (const std::uint32_t number : {3U, 0U, 7U}) stack.push(number);
    CHECK(stack.pop() == 7);
    stack.push(1);
    CHECK(stack.pop() == 1);
    CHECK(stack.pop() == 0);
    CHECK(stack.pop() == 3);
    CHECK_FALSE(stack.pop().has_value());
}

TEST_CASE("a_stack_of_no_numbers_is_empty") { CHECK_FALSE(index_stack(0, true).pop().has_value()); }

TEST_CASE("no_number_is_lost_or_held_twice_under_concurrency") {
    for (const std::uint32_t capacity : {2U, 3U, 16U, 1024U}) {
        INFO("capacity ", capacity);
        index_stack stack(capacity, true);
        CHECK(keeps_every_number_once(stack, capacity, 4, 10'000));
    }
}

TEST_CASE("the_concurrency_check_catches_a_stack_without_change_count") {
    bool caught = false;
    for (int attempt = 0; attempt < 50 && !caught; ++attempt) {
        stack_without_count stack(3);
        caught = !keeps_every_number_once(stack, 3, 4, 2'000);
    }
    CHECK(caught);
}

}  // namespace tokengate::test
