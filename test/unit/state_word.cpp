// SPDX-License-Identifier: Apache-2.0
// The word that says where a token is in its life.
#include <tokengate/detail/state_word.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace tokengate::test {
namespace {

using detail::state_word;

constexpr std::array all_states{
    token_state::created,   token_state::waiting, token_state::admitted, token_state::executing,
    token_state::completed, token_state::failed,  token_state::killed,   token_state::timed_out};

}  // namespace

TEST_CASE("a_husk_is_not_a_handle") {
    state_word word;
    word.start(token_state::admitted, 2);
    REQUIRE(word.begin_execution_leaving_husk());
    CHECK_FALSE(word.begin_execution());  // what comes out of the mailbox now is the husk
    REQUIRE(word.finish(token_state::completed, false).won);
    CHECK(word.references() == 2);
    CHECK(word.sole_handle());
    word.retain();
    CHECK_FALSE(word.sole_handle());
    CHECK_FALSE(word.release());
    CHECK_FALSE(word.release_husk());
    CHECK(word.sole_handle());
    CHECK(word.release());
}

TEST_CASE("a_husk_may_go_before_the_token_is_terminal") {
    state_word word;
    word.start(token_state::admitted, 2);
    REQUIRE(word.begin_execution_leaving_husk());
    CHECK_FALSE(word.release_husk());
    REQUIRE(word.finish(token_state::completed, false).won);
    CHECK(word.sole_handle());
    CHECK(word.release());
}

TEST_CASE("only_the_last_four_states_are_terminal") {
    std::size_t terminal = 0;
    for (const token_state each : all_states) terminal += is_terminal(each) ? 1 : 0;
    CHECK(terminal == 4);
    CHECK_FALSE(is_terminal(token_state::executing));
    CHECK(is_terminal(token_state::completed));
    CHECK(is_terminal(token_state::timed_out));
    CHECK(to_string(token_state::created) == "created");
    CHECK(to_string(token_state::timed_out) == "timed_out");
}

TEST_CASE("only_an_admitted_token_can_begin") {
    for (const token_state from : all_states) {
        INFO("from ", std::string(to_string(from)));
        state_word word;
        word.start(from, 2);
        CHECK(word.begin_execution() == (from == token_state::admitted));
        CHECK(word.phase() == (from == token_state::admitted ? token_state::executing : from));
        CHECK(word.references() == 2);
    }
}

TEST_CASE("a_token_that_executes_can_finish_and_no_other") {
    for (const token_state from : all_states) {
        for (const token_state outcome : all_states) {
            if (!is_terminal(outcome)) continue;
            INFO(std::string(to_string(from)), " to ", std::string(to_string(outcome)));
            state_word word;
            word.start(from, 2);
            const auto end = word.finish(outcome, true);
            const bool runs = from == token_state::executing;
            CHECK(end.won == runs);
            CHECK(word.phase() == (runs ? outcome : from));
            CHECK(word.references() == (runs ? 1 : 2));
        }
    }
}

TEST_CASE("a_token_begun_in_place_is_left_to_its_entry_or_gets_a_new_one") {
    state_word word;
    word.start(token_state::admitted, 2);
    CHECK_FALSE(word.release_if_husk().done);
    REQUIRE(word.begin_execution_leaving_husk());
    CHECK(word.leave_to_entry() == state_word::left::to_entry);
    CHECK(word.phase() == token_state::admitted);
    CHECK_FALSE(word.release_if_husk().done);
    CHECK(word.references() == 2);
    REQUIRE(word.begin_execution_leaving_husk());
    const auto given_up = word.release_if_husk();
    CHECK(given_up.done);
    CHECK_FALSE(given_up.last);
    CHECK(word.references() == 1);
    CHECK(word.leave_to_entry() == state_word::left::aside);
    CHECK(word.phase() == token_state::waiting);
    CHECK(word.references() == 2);
    REQUIRE(word.begin_aside());
    REQUIRE(word.finish(token_state::killed, false).won);
    CHECK(word.leave_to_entry() == state_word::left::ended);
    CHECK(word.references() == 2);
}

TEST_CASE("a_token_set_aside_comes_back_or_is_killed_and_then_is_a_husk") {
    state_word word;
    word.start(token_state::admitted, 2);
    REQUIRE(word.set_aside());
    CHECK(word.phase() == token_state::waiting);
    CHECK_FALSE(word.set_aside());
    CHECK_FALSE(word.begin_execution());
    REQUIRE(word.begin_aside());
    CHECK(word.phase() == token_state::executing);
    REQUIRE(word.put_back());
    CHECK(word.phase() == token_state::waiting);
    const auto seen = word.begin_killing();
    CHECK(seen.was == token_state::waiting);
    CHECK(seen.aside);
    CHECK_FALSE(seen.listed);
    CHECK_FALSE(word.begin_aside());
    CHECK_FALSE(word.put_back());
    CHECK_FALSE(word.list());
    CHECK(word.begin_killing().was == token_state::killed);
    REQUIRE(word.finish(token_state::killed, false).won);
    CHECK_FALSE(word.begin_aside());
    CHECK_FALSE(word.release_husk());
    CHECK(word.sole_handle());
}

TEST_CASE("who_kills_a_token_learns_whether_it_was_listed") {
    // By whoever takes it out of its mailbox, or later, if it was set aside by itself.
    for (const bool later : {false, true}) {
        INFO((later ? "put back, and listed" : "set aside"));
        state_word word;
        word.start(later ? token_state::executing : token_state::admitted, 2);
        REQUIRE((later ? word.put_back() && word.list() : word.set_aside()));
        CHECK_FALSE(word.paused());
        CHECK(word.pause());
        CHECK(word.resume().paused);
        CHECK(word.shown() == token_state::waiting);
        CHECK(word.begin_killing().listed);
        // No more than one, and what is doomed cannot be paused.
        CHECK_FALSE(word.begin_killing().listed);
        CHECK_FALSE(word.pause());
        CHECK(word.shown() == token_state::waiting);
    }
    state_word begun;
    begun.start(token_state::admitted, 2);
    REQUIRE(begun.set_aside());
    REQUIRE(begun.begin_aside());
    CHECK(begun.shown() == token_state::executing);
    CHECK_FALSE(begun.pause());
    CHECK(begun.put_back());
    CHECK_FALSE(begun.begin_killing().listed);
}

TEST_CASE("a_token_that_was_set_aside_is_admitted_like_any_other") {
    state_word word;
    word.start(token_state::admitted, 2);
    REQUIRE(word.set_aside());
    CHECK(word.admit().done);
    const auto seen = word.begin_killing();
    CHECK(seen.was == token_state::admitted);
    CHECK_FALSE(seen.aside);
    CHECK_FALSE(seen.listed);
}

TEST_CASE("finish_reports_the_waiters_and_clears_their_bits") {
    state_word word;
    word.start(token_state::executing, 3);
    CHECK_FALSE(is_terminal(state_word::phase_of(word.announce_sleeper())));
    CHECK_FALSE(is_terminal(state_word::phase_of(word.announce_helper())));
    CHECK(word.references() == 3);
    CHECK(word.phase() == token_state::executing);
    const auto end = word.finish(token_state::completed, false);
    CHECK(end.won);
    CHECK(end.wake());
    CHECK(end.helper());
    CHECK(word.references() == 3);

    state_word alone;
    alone.start(token_state::executing, 1);
    const auto quiet = alone.finish(token_state::failed, false);
    CHECK_FALSE(quiet.wake());
    CHECK_FALSE(quiet.helper());
}

TEST_CASE("announcing_to_a_terminal_token_says_so_and_changes_nothing") {
    state_word word;
    word.start(token_state::executing, 2);
    static_cast<void>(word.finish(token_state::killed, false));
    const std::uint32_t before = word.futex().load();
    CHECK(state_word::phase_of(word.announce_sleeper()) == token_state::killed);
    CHECK(state_word::phase_of(word.announce_helper()) == token_state::killed);
    CHECK(word.futex().load() == before);
}

TEST_CASE("only_with_one_handle_and_the_entry_in_one_hand_is_a_token_begun_alone") {
    for (const token_state phase : all_states) {
        for (const std::uint32_t references : {1U, 2U, 3U}) {
            INFO(to_string(phase), ", references ", references);
            state_word word;
            word.start(phase, references);
            CHECK(word.begin_alone() == (phase == token_state::admitted && references == 2));
        }
    }
    state_word husk;
    husk.start(token_state::admitted, 2);
    REQUIRE(husk.begin_execution_leaving_husk());
    CHECK_FALSE(husk.begin_alone());
}

TEST_CASE("a_token_begun_alone_ends_with_its_handle_unless_it_was_killed_meanwhile") {
    state_word word;
    word.start(token_state::admitted, 2);
    REQUIRE(word.begin_alone());
    CHECK(word.phase() == token_state::executing);
    REQUIRE(word.finish_alone(token_state::failed));
    CHECK(word.phase() == token_state::failed);
    CHECK(word.sole_handle());
    CHECK(word.release());

    state_word killed;
    killed.start(token_state::admitted, 2);
    REQUIRE(killed.begin_alone());
    REQUIRE(killed.finish(token_state::killed, false).won);
    CHECK_FALSE(killed.finish_alone(token_state::completed));
    CHECK(killed.phase() == token_state::killed);
    CHECK_FALSE(killed.release());
    CHECK(killed.release());
}

TEST_CASE("the_last_reference_is_told_so") {
    state_word word;
    word.start(token_state::admitted, 2);
    word.retain();
    CHECK(word.references() == 3);
    CHECK_FALSE(word.release());
    CHECK_FALSE(word.release());
    CHECK(word.release());

    state_word dropped;
    dropped.start(token_state::executing, 2);
    CHECK_FALSE(dropped.release());
    CHECK(dropped.finish(token_state::completed, true).last);
}

TEST_CASE("many_references_do_not_reach_the_phase") {
    state_word word;
    word.start(token_state::admitted, 2);
    for (int i = 0; i < 100'000; ++i) word.retain();
    CHECK(word.begin_execution());
    CHECK(word.references() == 100'002);
    CHECK(word.finish(token_state::completed, true).won);
    CHECK(word.references() == 100'001);
    CHECK(word.phase() == token_state::completed);
}

TEST_CASE("the_first_terminal_writer_wins_and_is_the_only_one") {
    constexpr int rounds = 2000;
    constexpr std::array outcomes{token_state::completed, token_state::failed, token_state::killed,
                                  token_state::timed_out};
    std::vector<state_word> words(rounds);
    for (state_word& each : words) each.start(token_state::executing, 5);
    std::vector<std::array<std::atomic<int>, 4>> won(rounds);
    std::atomic<int> ready{0};
    std::vector<std::thread> writers;
    for (std::size_t w = 0; w < outcomes.size(); ++w) {
        writers.emplace_back([&, w] {
            ready.fetch_add(1);
            while (ready.load() < 4) std::this_thread::yield();
            for (std::size_t i = 0; i < rounds; ++i) {
                won[i][w] = words[i].finish(outcomes[w], false).won ? 1 : 0;
            }
        });
    }
    for (std::thread& each : writers) each.join();
    for (std::size_t i = 0; i < rounds; ++i) {
        int winners = 0;
        for (std::size_t w = 0; w < outcomes.size(); ++w) {
            winners += won[i][w];
            if (won[i][w] == 1) CHECK(words[i].phase() == outcomes[w]);
        }
        CHECK(winners == 1);
    }
}

TEST_CASE("of_begin_and_kill_only_one_gets_an_admitted_token") {
    constexpr std::size_t rounds = 5000;
    std::vector<state_word> words(rounds);
    for (state_word& each : words) each.start(token_state::admitted, 2);
    std::vector<int> begun(rounds);
    std::vector<int> taken(rounds);
    std::atomic<int> ready{0};
    const auto race = [&](std::vector<int>& mine) {
        ready.fetch_add(1);
        while (ready.load() < 2) std::this_thread::yield();
        for (std::size_t i = 0; i < rounds; ++i) mine[i] = words[i].begin_execution() ? 1 : 0;
    };
    std::thread other([&] { race(taken); });
    race(begun);
    other.join();
    for (std::size_t i = 0; i < rounds; ++i) REQUIRE(begun[i] + taken[i] == 1);
}

}  // namespace tokengate::test
