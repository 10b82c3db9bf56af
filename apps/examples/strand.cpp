// SPDX-License-Identifier: Apache-2.0
// Strands: calls with the same serial key run one at a time, in the order in which they were made.
// So what belongs to a key needs no lock, and no worker waits for another.
#include <tokengate/tokengate.hpp>

#include <cstddef>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace tg = tokengate;

// An order to an account. The account is the key; `amount` is no part of it.
struct order {
    std::size_t account;
    int amount;
    template <class H>
    // NOLINTNEXTLINE(readability-identifier-naming): the name that Abseil looks for.
    friend H AbslHashValue(H state, const order& which) {
        return H::combine(std::move(state), which.account);
    }
};

struct account {
    int balance = 0;
    int refused = 0;

    // More than there is cannot be taken out: so it matters what comes first.
    void book(int amount) {
        if (balance + amount < 0) {
            ++refused;
        } else {
            balance += amount;
        }
    }
};

int main() {
    std::vector<account> accounts(10);
    std::vector<std::string> journal;
    tg::runtime rt({.cores = 4});  // four domains, also on a smaller machine

    // All calls with one anchor: one line for the whole program.
    auto note =
        rt.operation("note", {.sticky = tg::sticky::by_anchor("journal", tg::sticky::serial)},
                     [&](const std::string& line) { journal.push_back(line); });

    // A line for each account. Different ones are booked side by side.
    auto book = rt.operation("book", {.sticky = tg::sticky::by_arguments(tg::sticky::serial)},
                             [&](const order& what) { accounts[what.account].book(what.amount); });

    std::vector<account> expected(accounts.size());
    note.post("the bank opens");
    for (int round = 0; round < 1000; ++round) {
        for (std::size_t i = 0; i < accounts.size(); ++i) {
            const int amount = (round * 37 + static_cast<int>(i) * 11) % 100 - 50;
            expected[i].book(amount);  // the same by hand
            book.post(order{i, amount});
        }
        if (round % 250 == 249) note.post(std::to_string(round + 1) + " rounds");
    }
    rt.wait_idle();
    note("the bank closes").wait();

    bool right =
        journal == std::vector<std::string>{"the bank opens", "250 rounds",  "500 rounds",
                                            "750 rounds",     "1000 rounds", "the bank closes"};
    for (const std::string& line : journal) std::cout << line << "\n";
    for (std::size_t i = 0; i < accounts.size(); ++i) {
        right = right && accounts[i].balance == expected[i].balance &&
                accounts[i].refused == expected[i].refused;
    }
    std::cout << "account 0: balance " << accounts[0].balance << ", " << accounts[0].refused
              << " orders refused; " << (right ? "as by hand" : "WRONG") << "\n";
    return right ? 0 : 1;
}
