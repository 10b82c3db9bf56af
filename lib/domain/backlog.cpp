// SPDX-License-Identifier: Apache-2.0
#include "domain/backlog.hpp"

#include <utility>

#include "domain/crew.hpp"
#include "domain/ending.hpp"
#include "domain/share.hpp"
#include "domain/tier.hpp"

namespace tokengate::detail {

const operation_label pass_label{};

backlog::backlog(crew& owner, operation_core& operation, tier* permits)
    : crew_(owner),
      operation_(operation),
      domains_(owner.chosen().cores),
      tier_(permits),
      lock_(permits != nullptr ? permits->lock() : own_lock_),
      anchored_(std::make_unique<line[]>(domains_)),
      next_domain_(owner.chosen().first_core[index_of(operation.weight_class)]) {
    for_each_line([&](line& each) {
        // Executing: nobody can begin it.
        each.pass.state.start(token_state::executing, 1);
        each.pass.way = route::bulk;
        each.pass.operation = &operation;
        each.pass.label = &pass_label;
    });
    if (tier_ == nullptr) return;
    tier_->add(*this);
    attends_.store(true, std::memory_order_release);
    crew_.attend();
}

backlog::~backlog() {
    if (tier_ != nullptr) tier_->remove(*this);
    // Of an operation that was not declared after all, too.
    if (attends_.load(std::memory_order_relaxed)) crew_.attend_no_more();
}

void backlog::pause() noexcept {
    const std::scoped_lock guard(lock_);
    paused_ = true;
    hold_lines_up();
    settle();
}

void backlog::resume() noexcept {
    const std::scoped_lock guard(lock_);
    if (paused_) go_on();
}

void backlog::go_on() noexcept {
    paused_ = false;
    hold_lines_up();
    for_each_line([this](line& each) { push_passes(each); });
    tell_claimants();
    settle();
}

bool backlog::paused() const noexcept {
    // Without the mutex, which may be held for ever in a child process.
    return paused_.load(std::memory_order_acquire);
}

backlog::turn backlog::exchange(token_node& entry, bool only_it) noexcept {
    token_node* husks = nullptr;
    // Not linked with the others: it may have ended well, and its result lies where the link would.
    bool is_husk = false;
    turn found;
    {
        const std::scoped_lock guard(lock_);
        if (is_pass(entry)) {
            line& from = reinterpret_cast<line&>(entry);
            take_back(from);
            const bool permitted = tier_ == nullptr || tier_->redeem();
            if (permitted && !paused_) found = take_first(from, husks);
            if (tier_ != nullptr && permitted && found.node == nullptr) tier_->put_back();
            push_passes(from);
            if (tier_ != nullptr) tier_->deal();
        } else if (is_doomed(entry)) {
            found = {.node = &entry, .begun = false, .doomed = true};
        } else {
            line& home = line_of(entry);
            const bool first = home.entries == 0 && !paused_;
            if (first && (tier_ == nullptr || tier_->try_take())) {
                if (is_share(entry)) {
                    found = {.node = &entry, .begun = false};
                } else if (begin_or_keep(entry, is_husk)) {
                    found = {.node = &entry, .begun = true};
                } else if (tier_ != nullptr) {
                    tier_->put_back();
                }
            } else if (!put_aside(home, entry)) {
                is_husk = true;
            } else if (!paused_ && tier_ == nullptr && !only_it) {
                found = take_first(home, husks);
            }
            push_passes(home);
            if (tier_ != nullptr && found.node == nullptr) tier_->deal();
        }
        collect_husks(husks);
        settle();
    }
    drop_all(husks);
    if (is_husk && is_share(entry)) {
        drop_reference(entry);
        return found;
    }
    // If it is an entry again, it is as if it came out now.
    return is_husk && !drop_if_husk(entry) ? exchange(entry, only_it) : found;
}

// Whoever kills what waits says so first, and then takes the mutex: what is not put aside then is
// seen here, and nothing is put aside that nobody comes to kill.
bool backlog::is_doomed(const token_node& node) const noexcept {
    return crew_.current_phase() >= phase::killing || condemns(node);
}

void backlog::drop_pass(token_node& pass) noexcept {
    const std::scoped_lock guard(lock_);
    take_back(reinterpret_cast<line&>(pass));
    if (tier_ != nullptr) {
        if (tier_->redeem()) tier_->put_back();
        tier_->deal();
    }
    settle();
}

void backlog::take_back(line& from) noexcept {
    --from.passes;
    --passes_;
}

bool backlog::use_permit() noexcept {
    if (paused_ || entries_.load(std::memory_order_relaxed) <= passes_) return false;
    // What waits is to be killed: who takes the pass out would only make room for the next one.
    if (crew_.current_phase() >= phase::killing) return false;
    bool used = false;
    for_each_line([&](line& each) {
        if (used || each.passes >= each.entries || !tier_->try_take()) return;
        used = push_pass(each);
        if (!used) tier_->put_back();
    });
    return used;
}

backlog::line& backlog::line_of(const token_node& node) noexcept {
    // Not home_of(): it may have been killed, and what it was anchored by be gone. Relaxed: it
    // stays.
    return node.glance().anchored ? anchored_[node.domain.load(std::memory_order_relaxed)] : free_;
}

void backlog::line::append(token_node& node) noexcept {
    strand_link(node) = nullptr;
    (first == nullptr ? first : strand_link(*last)) = &node;
    last = &node;
}

token_node* backlog::line::take_all() noexcept {
    last = nullptr;
    return std::exchange(first, nullptr);
}

void backlog::count(line& in, std::size_t more) noexcept {
    in.entries += more;
    // Relaxed, here and below: others only decide by it.
    entries_.fetch_add(more, std::memory_order_relaxed);
}

void backlog::discount(line& in, std::size_t fewer) noexcept {
    in.entries -= fewer;
    entries_.fetch_sub(fewer, std::memory_order_relaxed);
}

// Every entry that is listed counts once, until it begins, or whoever ends it takes it off.
void backlog::live(std::ptrdiff_t more) noexcept {
    living_.fetch_add(more, std::memory_order_relaxed);
}

void backlog::link(line& to, token_node& node) noexcept {
    to.append(node);
    hold_line_up(node);
    count(to, 1);
}

// False if it is a husk.
bool backlog::set_aside(line& to, token_node& node) noexcept {
    if (!node.state.set_aside()) return false;
    if (node.way != route::here) crew_.give_back(crew_.in_flight, 1);
    live(1);
    link(to, node);
    return true;
}

// The other way round: begins it. False: it is paused, or a husk.
bool backlog::bring_back(token_node& node) noexcept {
    if (!node.state.begin_aside()) return false;
    live(-1);
    if (node.serial) node.line->hold_up(false);
    if (node.way != route::here) crew_.in_flight.take_beyond(1);
    return true;
}

// False if it is a husk, or an entry of a share of which nothing is left.
bool backlog::put_aside(line& to, token_node& node) noexcept {
    if (is_share(node)) {
        if (!share_of(node).has_unclaimed()) return false;
        live(1);
        // In the list once, however many entries of it wait.
        if (share_of(node).aside++ == 0) {
            link(to, node);
        } else {
            count(to, 1);
        }
        return true;
    }
    return set_aside(to, node);
}

backlog::turn backlog::take_first(line& from, token_node*& husks) noexcept {
    while (from.first != nullptr) {
        token_node& node = *from.first;
        discount(from, 1);
        const bool shared = is_share(node);
        if (shared && !share_of(node).written_off) live(-1);
        if (!shared || --share_of(node).aside == 0) {
            from.first = strand_link(node);
            if (from.first == nullptr) from.last = nullptr;
        }
        if (shared) return {.node = &node, .begun = false};
        for (;;) {
            if (bring_back(node)) return {.node = &node, .begun = true};
            if (node.state.phase() != token_state::waiting) {
                chain_up(husks, node);
                break;
            }
            // Not both: who pauses it in between may not resume it any more.
            if (pauses_end()) {
                static_cast<void>(node.state.resume());
            } else if (node.state.paused()) {
                link(kept_, node);
                break;
            }
        }
    }
    return {};
}

// Nobody is left to resume single tokens, or somebody waits for them.
bool backlog::pauses_end() const noexcept {
    return crew_.current_phase() != phase::open ||
           operation_.closed.load(std::memory_order_relaxed);
}

// Of a token that has been taken out of its lane. False: it is kept, since it is paused, or it is a
// husk. Whoever pauses and resumes it may do so between any two of these steps.
bool backlog::begin_or_keep(token_node& node, bool& is_husk) noexcept {
    for (;;) {
        if (node.state.begin_execution()) return true;
        if (pauses_end()) static_cast<void>(node.state.resume());
        if (keep_paused(node)) return false;
        is_husk = node.state.phase() != token_state::admitted;
        if (is_husk) return false;
    }
}

// As above. False: it is not paused any more, or a husk.
bool backlog::keep_paused(token_node& node) noexcept {
    if (!node.state.paused() || pauses_end()) return false;
    // It may have been resumed meanwhile: who does that looks for it afterwards.
    return set_aside(kept_, node);
}

bool backlog::keep_entry(token_node& node) noexcept {
    bool kept = false;
    {
        const std::scoped_lock guard(lock_);
        if (pauses_end()) static_cast<void>(node.state.resume());
        kept = !is_doomed(node) && keep_paused(node);
        settle();
    }
    tidy_up();
    return kept;
}

bool backlog::keep(token_node& node) noexcept {
    // In a child process nobody runs it, and the lock may be held for ever.
    if (crew_.current_phase() == phase::forked) return true;
    bool listed = false;
    {
        const std::scoped_lock guard(lock_);
        if (is_doomed(node)) return false;
        listed = node.state.list();
        if (listed) {
            line& to = node.state.paused() && !pauses_end() ? kept_ : line_of(node);
            live(1);
            link(to, node);
            if (&to != &kept_) push_passes(to);
        }
        settle();
    }
    // It was ended before it was here.
    if (!listed) drop_husk(node);
    tidy_up();
    return true;
}

void backlog::let_out(token_node& node) noexcept {
    const std::scoped_lock guard(lock_);
    if (const auto where = find(kept_, node)) {
        unlink(*where, node);
        line& home = line_of(node);
        link(home, node);
        push_passes(home);
    }
    settle();
}

void backlog::resume_all() noexcept {
    const std::scoped_lock guard(lock_);
    token_node* each = kept_.take_all();
    discount(kept_, kept_.entries);
    while (each != nullptr) {
        token_node& node = *std::exchange(each, strand_link(*each));
        static_cast<void>(node.state.resume());
        link(line_of(node), node);
    }
    go_on();
}

void backlog::push_passes(line& to) noexcept {
    if (paused_ || to.passes >= to.entries) return;
    settle();  // who takes a pass out must see that it attends
    while (to.passes < to.entries) {
        if (tier_ != nullptr && !tier_->try_take()) return;
        if (!push_pass(to)) {
            if (tier_ != nullptr) tier_->put_back();
            return;
        }
    }
}

// False if the lanes are full and another pass is under way.
bool backlog::push_pass(line& to) noexcept {
    if (&to != &free_) {
        return push_pass_into(to, static_cast<unsigned>(&to - anchored_.get()), to.passes == 0);
    }
    const unsigned first = crew_.chosen().first_core[index_of(operation_.weight_class)];
    const unsigned last = crew_.chosen().cores;
    const auto next = [&] {
        const unsigned domain = next_domain_;
        next_domain_ = domain + 1 < last ? domain + 1 : first;
        return domain;
    };
    for (unsigned tried = first; tried < last; ++tried) {
        if (push_pass_into(to, next(), false)) return true;
    }
    return push_pass_into(to, next(), to.passes == 0);
}

bool backlog::push_pass_into(line& to, unsigned domain, bool beyond) noexcept {
    const bool anchored = &to != &free_;
    const lane which = lane_of(operation_.weight_class, anchored);
    credit_pool& credits = crew_.at(domain).box.credits(which);
    if (credits.take(1) == 0) {
        if (!beyond) return false;
        credits.take_beyond(1);
    }
    if (tier_ != nullptr) tier_->promise();
    ++to.passes;
    ++passes_;
    crew_.at(domain).box.push(which, to.pass);
    crew_.wake(which, domain);
    return true;
}

// What others may see of it now.
void backlog::settle() noexcept {
    const bool now = tier_ != nullptr || paused_ || passes_ != 0 ||
                     entries_.load(std::memory_order_relaxed) != 0;
    if (now == attends_.load(std::memory_order_relaxed)) return;
    // Release: pairs with the acquire in attends(), and in the crew's attention.
    attends_.store(now, std::memory_order_release);
    if (now) {
        crew_.attend();
    } else {
        crew_.attend_no_more();
    }
}

}  // namespace tokengate::detail
