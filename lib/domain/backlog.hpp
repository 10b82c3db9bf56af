// SPDX-License-Identifier: Apache-2.0
/// @file
/// Where the tokens of one operation wait that may not run now. Protocol: backlog.md.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tokengate/detail/frame.hpp>

#include "domain/mailbox.hpp"
#include "sleep/event_count.hpp"

namespace tokengate::detail {

class crew;
class tier;
struct share;

/// What the label of a pass is, and of nothing else.
extern const operation_label pass_label;

/// True if what has come out of a lane is a pass.
[[nodiscard]] inline bool is_pass(const token_node& node) noexcept {
    return node.label == &pass_label;
}

/// Which tokens were there before a moment: those with ids below `next` but for the numbers that
/// threads had in store then.
struct id_horizon {
    std::uint64_t next = 0;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> in_store;  ///< [first, last)

    [[nodiscard]] bool includes(std::uint64_t id) const noexcept {
        return id < next && std::none_of(in_store.begin(), in_store.end(), [&](const auto& each) {
                   return id >= each.first && id < each.second;
               });
    }
};

/// The tokens of one operation that were taken out of their lanes and set aside.
/// Thread safety: any thread may call anything.
class backlog {
  public:
    /// @param permits  how many of its tokens may run at once, with those of others; null: all
    /// @throws std::bad_alloc
    backlog(crew& owner, operation_core& operation, tier* permits);
    ~backlog();
    backlog(const backlog&) = delete;
    backlog& operator=(const backlog&) = delete;

    /// From now on no token of it is begun that has not been taken out yet. Idempotent.
    void pause() noexcept;

    /// Ends that. Idempotent.
    void resume() noexcept;

    [[nodiscard]] bool paused() const noexcept;

    /// False: its tokens run as if it were not there.
    [[nodiscard]] bool attends() const noexcept {
        // Acquire: pairs with the release in settle().
        return attends_.load(std::memory_order_acquire);
    }

    /// How many tokens wait in it; not those that were killed there.
    [[nodiscard]] std::size_t size() const noexcept {
        // Relaxed: a number to decide by. Who kills one that is just being listed may be first.
        const auto now = living_.load(std::memory_order_relaxed);
        return now > 0 ? static_cast<std::size_t>(now) : 0;
    }

    /// Somebody has begun to end a token that was listed here. Cost: constant in the mean; drops
    /// the husks when most of what is here are husks.
    void note_death() noexcept;

    /// All stretches of a share have been claimed: its entries, some of which may be here, will
    /// begin nothing. Cost: likewise.
    void write_off(share& used_up) noexcept;

    /// What may run in the stead of what was taken out of a lane or deque; nothing if `node` is
    /// null.
    struct turn {
        token_node* node = nullptr;
        bool begun = false;   ///< false: it is an entry of a share
        bool doomed = false;  ///< it is what was taken out, and is to be killed
    };

    /// For a worker that has taken an entry out: keeps it, and gives what may run now. A token
    /// comes with its permit.
    /// @param only_it  nothing else may run on this stack
    [[nodiscard]] turn exchange(token_node& entry, bool only_it) noexcept;

    /// What a worker holds of a token that it has claimed.
    enum class claimed : std::uint8_t {
        nothing,  ///< it may not begin now
        husk,     ///< it has begun, and its entry is still in a lane or deque
        entry,    ///< it has begun, and its entry was here
        share,    ///< it is a share, which may be run
    };

    /// For a worker that waits for this token, and may run it, but takes nothing out of lanes:
    /// begins it, wherever it is, with a permit.
    [[nodiscard]] claimed claim(token_node& node) noexcept;

    /// True if claim() would be likely to begin it. If not, claimants hear when it may.
    [[nodiscard]] bool can_claim(token_node& node) noexcept;

    /// A token that was set aside with its turn has been killed: its line goes on. Before it leaves
    /// that.
    void let_line_go(token_node& node) noexcept;

    /// A worker that is about to sleep; on its stack.
    class claimant {
      public:
        claimant(backlog& of, event_count& wake) noexcept;
        ~claimant();
        claimant(const claimant&) = delete;
        claimant& operator=(const claimant&) = delete;

      private:
        friend class backlog;
        backlog& backlog_;
        event_count& wake_;
        claimant* next_;
    };

    /// Those look again: a permit may be had, a pause is over, or tokens were condemned. With the
    /// mutex held.
    void tell_claimants() noexcept;

    /// True if it is to die, with its operation or its runtime.
    [[nodiscard]] bool is_doomed(const token_node& node) const noexcept;

    /// For a worker that has taken the entry of a paused token out: keeps both. False if it is not
    /// paused any more, or is to die.
    [[nodiscard]] bool keep_entry(token_node& node) noexcept;

    /// Keeps a token that has been set aside because it is paused, with its entry's reference.
    /// False: it is to die, and nothing was done.
    [[nodiscard]] bool keep(token_node& node) noexcept;

    /// A token is not paused any more: if it was kept for that, it may run when its turn comes.
    void let_out(token_node& node) noexcept;

    /// Ends all pauses, those of single tokens too: what waits could not end otherwise.
    void resume_all() noexcept;

    /// A pass has come out, and nothing is to run any more.
    void drop_pass(token_node& pass) noexcept;

    /// A permit has come back: pushes a pass for it, with the tier's mutex held. False: nobody here
    /// needs one.
    [[nodiscard]] bool use_permit() noexcept;

    /// Notes that tokens from before a moment are to die.
    void condemn(id_horizon before, std::string_view reason);

    /// True if somebody meant this token.
    [[nodiscard]] bool condemns(const token_node& node) const noexcept;

    /// What was said when they were condemned; less without memory.
    [[nodiscard]] std::string reason() const noexcept;

    /// Kills what waits in it: what is condemned, or all. How many died; the caller counts them.
    [[nodiscard]] std::size_t kill_waiting(bool all, std::string_view reason) noexcept;

  private:
    /// First in, first out, linked by strand_link().
    struct line {
        /// Without counting.
        void append(token_node& node) noexcept;
        /// The first of them, and linked to it the others.
        [[nodiscard]] token_node* take_all() noexcept;

        token_node pass;  ///< at its beginning: whoever takes one out finds the line
        token_node* first = nullptr;
        token_node* last = nullptr;
        std::size_t entries = 0;  ///< tokens and entries of shares
        std::size_t passes = 0;   ///< under way for them
    };

    /// Where a token is in a line.
    struct place {
        line& of;
        token_node* before = nullptr;  ///< null: it is the first
    };

    [[nodiscard]] claimed claim_there(token_node& node) noexcept;
    void tidy_up() noexcept;
    [[nodiscard]] bool mostly_husks() const noexcept;

    // All under the mutex.
    [[nodiscard]] line& line_of(const token_node& node) noexcept;
    void take_back(line& from) noexcept;
    void hold_line_up(token_node& node) noexcept;
    void hold_lines_up() noexcept;
    void go_on() noexcept;
    [[nodiscard]] bool pauses_end() const noexcept;
    [[nodiscard]] bool begin_or_keep(token_node& node, bool& is_husk) noexcept;
    [[nodiscard]] bool may_begin(token_node& node) noexcept;
    [[nodiscard]] std::optional<place> find(line& in, const token_node& node) noexcept;
    void unlink(const place& where, token_node& node) noexcept;
    [[nodiscard]] bool keep_paused(token_node& node) noexcept;
    void count(line& in, std::size_t more) noexcept;
    void discount(line& in, std::size_t fewer) noexcept;
    void live(std::ptrdiff_t more) noexcept;
    void forget_entries(share& of) noexcept;
    void collect_husks(token_node*& husks) noexcept;
    void strike_off(line& from, token_node& node) noexcept;
    static void chain_up(token_node*& list, token_node& node) noexcept;
    static void drop_all(token_node* husks) noexcept;
    void link(line& to, token_node& node) noexcept;
    [[nodiscard]] bool set_aside(line& to, token_node& node) noexcept;
    [[nodiscard]] bool bring_back(token_node& node) noexcept;
    [[nodiscard]] bool put_aside(line& to, token_node& node) noexcept;
    [[nodiscard]] turn take_first(line& from, token_node*& husks) noexcept;
    void sweep(line& which, token_node*& husks) noexcept;
    void push_passes(line& to) noexcept;
    [[nodiscard]] bool push_pass(line& to) noexcept;
    [[nodiscard]] bool push_pass_into(line& to, unsigned domain, bool beyond) noexcept;
    void settle() noexcept;
    /// All but kept_.
    template <class Visit>
    void for_each_line(Visit&& visit) noexcept {
        visit(free_);
        for (unsigned d = 0; d < domains_; ++d) visit(anchored_[d]);
    }

    crew& crew_;
    operation_core& operation_;
    const unsigned domains_;
    tier* const tier_;
    std::mutex own_lock_;
    std::mutex& lock_;                 ///< its own, or that of its tier
    std::atomic<bool> paused_{false};  ///< written under the mutex
    line free_;
    line kept_;                            ///< tokens that are paused by themselves; without passes
    std::unique_ptr<line[]> anchored_;     ///< by domain
    std::size_t passes_ = 0;               ///< of all lines
    claimant* claimants_ = nullptr;        ///< under the mutex
    unsigned next_domain_ = 0;             ///< where the next pass for a free token goes
    std::atomic<std::size_t> entries_{0};  ///< of all lines; written under the mutex
    std::atomic<std::ptrdiff_t> living_{0};  ///< those that are no husks
    std::atomic<bool> attends_{false};

    mutable std::mutex condemned_lock_;
    id_horizon condemned_;                          ///< under condemned_lock_
    std::string reason_;                            ///< under condemned_lock_
    std::atomic<std::uint64_t> next_condemned_{0};  ///< ids from here on are not
};

}  // namespace tokengate::detail
