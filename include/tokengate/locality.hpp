// SPDX-License-Identifier: Apache-2.0
/// @file
/// Which tokens belong together: sticky keys, chains of calls, and the traits that ask for them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <tokengate/arena.hpp>
#include <tokengate/detail/key.hpp>
#include <tokengate/detail/signature.hpp>
#include <tokengate/error.hpp>
#include <tokengate/health.hpp>
#include <tokengate/resilience.hpp>
#include <tokengate/weight.hpp>

namespace tokengate {

namespace detail {
class sticky_by_arguments;
class sticky_by_anchor;
}  // namespace detail

/// Keeps tokens with equal keys together: while at least one of them is in flight, all others with
/// an equal key are placed in its domain, where the data that they share is in the cache. When the
/// last one has ended, the next is placed freely.
///
/// What makes two keys equal: see the three functions. Arguments are compared by a hash; pointers
/// and std::ref count as the object that they refer to, not as its content.
///
/// The same domain is not mutual exclusion: with `colocate` several workers of a domain may run
/// tokens of one key at a time. With `serial` they run one at a time, in the order of submission. A
/// serial token that waits does not run foreign tokens meanwhile, see tokengate::isolated. From
/// apps/examples/strand.cpp:
/// @code
/// auto note =
///     rt.operation("note", {.sticky = tg::sticky::by_anchor("journal", tg::sticky::serial)},
///                  [&](const std::string& line) { journal.push_back(line); });
/// @endcode
class sticky {
  public:
    /// How the tokens of one key run.
    enum mode : std::uint8_t {
        colocate,  ///< in one domain, side by side if it has several workers
        serial,    ///< in one domain, one at a time, in the order of submission
    };

    /// What makes the key.
    enum class key_source : std::uint8_t {
        none,                  ///< not sticky
        arguments,             ///< the operation's name and all arguments
        anchor_and_arguments,  ///< the anchor's name and all arguments
        anchor,                ///< the anchor's name alone
    };

    /// Not sticky.
    sticky() = default;

    /// The key is the operation's name and all arguments.
    [[nodiscard]] static detail::sticky_by_arguments by_arguments(mode how = colocate);

    /// The key is a name of your choice and all arguments: operations that share the anchor share
    /// keys. From apps/examples/sticky.cpp:
    /// @code
    /// const auto by_shard = tg::sticky::by_anchor_and_arguments("shard");
    /// @endcode
    [[nodiscard]] static detail::sticky_by_arguments by_anchor_and_arguments(
        std::string_view anchor, mode how = colocate);

    /// The key is a name of your choice alone: all calls of all operations with this anchor.
    [[nodiscard]] static detail::sticky_by_anchor by_anchor(std::string_view anchor,
                                                            mode how = colocate);

    /// What makes the key.
    [[nodiscard]] key_source source() const noexcept { return source_; }

    /// How the tokens of one key run.
    [[nodiscard]] mode how() const noexcept { return how_; }

    /// The anchor's name, if it has one.
    [[nodiscard]] const std::string& anchor() const noexcept { return anchor_; }

    /// True if there is a key at all.
    [[nodiscard]] explicit operator bool() const noexcept { return source_ != key_source::none; }

    /// True if arguments are part of the key.
    [[nodiscard]] bool uses_arguments() const noexcept {
        return source_ == key_source::arguments || source_ == key_source::anchor_and_arguments;
    }

  protected:
    /// For the library.
    sticky(key_source source, mode how, std::string_view anchor)
        : anchor_(anchor), source_(source), how_(how) {}

  private:
    std::string anchor_;
    key_source source_ = key_source::none;
    mode how_ = colocate;
};

/// How the seed of a chain is made from the id of its lead and the names of its external calls.
enum class digest_policy : std::uint8_t {
    full,     ///< SHA-256, 64 hexadecimal digits
    brief,    ///< the first 16 of them
    fast,     ///< BLAKE2s of 8 bytes, 16 digits
    minimal,  ///< the first 8 digits of SHA-256
};

/// The name of a policy as users write it.
[[nodiscard]] constexpr std::string_view to_string(digest_policy value) noexcept {
    switch (value) {
        case digest_policy::full: return "full";
        case digest_policy::brief: return "brief";
        case digest_policy::fast: return "fast";
        case digest_policy::minimal: return "minimal";
    }
    return "unknown";
}

/// Where a free token goes that a token creates.
enum class placement : std::uint8_t {
    automatic,  ///< stays on the worker that creates it, if that is in the range of its class
    staggered,  ///< always to the domain of its position, as if it came from outside
};

/// The name of a placement as users write it.
[[nodiscard]] constexpr std::string_view to_string(placement value) noexcept {
    switch (value) {
        case placement::automatic: return "automatic";
        case placement::staggered: return "staggered";
    }
    return "unknown";
}

/// A chain that is open: a lead that has not ended, or tokens that it has created, directly or not.
struct chain_info {
    std::string seed_prefix;    ///< the first 8 digits of the seed
    std::uint64_t lead_id = 0;  ///< the id of the token that opened it
    std::string operation;      ///< the name of that token's operation
    unsigned domain = 0;        ///< where all its tokens run
    /// Its tokens that have not ended; a chain inside it counts once. While it creates tokens, up
    /// to 16 more for each worker that does.
    std::uint64_t pending = 0;
    std::chrono::nanoseconds age{};  ///< time since it was opened
};

namespace detail {

/// What by_arguments() and by_anchor_and_arguments() return: a `sticky` that the compiler can tell
/// from others.
class sticky_by_arguments : public sticky {
    friend class tokengate::sticky;
    using sticky::sticky;
};

/// What by_anchor() returns.
class sticky_by_anchor : public sticky {
    friend class tokengate::sticky;
    using sticky::sticky;
};

/// The stickiness of an operation with an argument that cannot be hashed: by an anchor, if at all.
class unhashed_sticky : public sticky {
  public:
    unhashed_sticky() = default;

    unhashed_sticky(sticky_by_anchor how) : sticky(std::move(how)) {}

    template <class T>
        requires std::is_same_v<T, sticky_by_arguments> unhashed_sticky(const T& how)
            : sticky(how) {
            static_assert(
                !std::is_same_v<T, sticky_by_arguments>,
                "tokengate: this operation is sticky by its arguments, but an argument cannot "
                "be hashed. Give its type `template <class H> friend H AbslHashValue(H state, "
                "const T& value) { return H::combine(std::move(state), ...); }`, or use "
                "sticky::by_anchor(name).");
        }

        /// From a variable, whose value the compiler does not know.
        /// @throws operation_error if it is by arguments
        unhashed_sticky(sticky how) : sticky(std::move(how)) {
            if (uses_arguments()) {
                throw operation_error(
                    "tokengate: these traits make an operation sticky by its arguments, but one of "
                    "its "
                    "arguments cannot be hashed; give its type an AbslHashValue, or use "
                    "sticky::by_anchor(name)");
            }
        }
};

}  // namespace detail

inline detail::sticky_by_arguments sticky::by_arguments(mode how) {
    return {key_source::arguments, how, {}};
}

inline detail::sticky_by_arguments sticky::by_anchor_and_arguments(std::string_view anchor,
                                                                   mode how) {
    return {key_source::anchor_and_arguments, how, anchor};
}

inline detail::sticky_by_anchor sticky::by_anchor(std::string_view anchor, mode how) {
    return {key_source::anchor, how, anchor};
}

/// The traits of an operation; write `operation_traits`. The parameter says whether all arguments
/// of the operation can be hashed, so that the compiler can refuse keys that cannot be made.
template <bool hashable>
struct basic_operation_traits {
    /// Which cores may run the tokens.
    tokengate::weight weight = tokengate::weight::medium;

    /// Which tokens share a domain. Cannot be combined with external_calls.
    std::conditional_t<hashable, tokengate::sticky, detail::unhashed_sticky> sticky = {};

    /// Names of what the operation will call. An operation that names some is a lead: each of its
    /// tokens opens a chain, and all tokens that are created while it runs, and while they run, run
    /// in its domain. From apps/examples/conductor.cpp:
    /// @code
    /// auto develop = rt.operation("develop", {.external_calls = {"expose"}}, [&](int number) {
    /// @endcode
    std::vector<std::string> external_calls = {};

    /// How the seeds of its chains are made.
    digest_policy digest = digest_policy::full;

    /// Where its tokens go if a token creates them.
    tokengate::placement placement = tokengate::placement::automatic;

    /// How long a token may wait until it begins. After that it is timed out, as if killed: whoever
    /// waits gets token_timed_out at once. 0: for ever.
    std::chrono::nanoseconds queue_timeout = {};

    /// How long a callable may run. After that its token is timed out: whoever waits gets
    /// token_timed_out at once, the callable is asked to stop (tokengate::this_token), and its late
    /// result is dropped. 0: for ever. A thread of the runtime keeps the time, which costs a run
    /// two short locks. From apps/examples/deadline.cpp:
    /// @code
    /// auto refine =
    ///     rt.operation("refine", {.run_timeout = 20ms}, [](const std::stop_token& stop, int n) {
    /// @endcode
    std::chrono::nanoseconds run_timeout = {};

    /// How often a callable that throws is called again. The token, its handles and its place stay
    /// the same; attempts() counts. From apps/examples/retry.cpp:
    /// @code
    /// auto fetch = rt.operation("fetch", {.retry = {.attempts = 5, .initial_delay = 1ms}},
    /// @endcode
    retry_policy retry = {};

    /// The storage that the callable works on: so many at once, in the whole process, and others
    /// keep its core busy meanwhile.
    tokengate::storage storage = tokengate::storage::none;

    /// Whether wait and run times are measured: operation_stats::wait, run and oldest_wait. So they
    /// are with any of the next three traits. Costs a run two looks at the clock and a short lock
    /// that all runs of the operation share, and the operation 48 KiB.
    bool timed = false;

    /// After so long a run of the callable is reported, once, as an alert (runtime::on_alert) that
    /// says which token it is, and on which thread; the token goes on. 0: never. From
    /// apps/examples/health.cpp:
    /// @code
    /// auto render = rt.operation("render", {.slow_after = 5ms}, [&] {
    /// @endcode
    std::chrono::nanoseconds slow_after = {};

    /// When the operation is blocked because it fails: calls throw operation_blocked then, until a
    /// probe has succeeded. From apps/examples/health.cpp:
    /// @code
    /// auto fetch = rt.operation(
    ///     "fetch", {.health = {.block = true, .attempts = 5, .probe_after = 1h}}, [&] {
    ///         if (!available) throw std::runtime_error("no connection");
    ///     });
    /// @endcode
    health_limits health = {};

    /// Which run times and sizes of arguments are out of the ordinary: they are counted
    /// (operation_stats::spikes) and reported. From apps/examples/health.cpp:
    /// @code
    /// auto parse = rt.operation("parse", {.spikes = {.factor = 10, .quarantine = true}},
    ///                           [](const std::string& text) {
    /// @endcode
    spike_limits spikes = {};

    /// How many tokens may be in flight: accepted and not ended. One that was killed while it runs
    /// counts until its callable returns. What becomes of a call beyond them, see
    /// tokengate::when_full; try_call() never blocks. From apps/examples/limits.cpp:
    /// @code
    /// auto save = rt.operation("save", {.in_flight = {.tokens = 2, .policy =
    /// tg::when_full::refuse}},
    /// @endcode
    in_flight_limit in_flight = {};

    /// How often it may be called. A call that blocks has its turn from then on, in the order of
    /// the calls, and sleeps until that comes. A call that is refused, or comes to nothing, uses
    /// nothing up; with drop_oldest, a call has the turn of the token that it takes the place of.
    /// From apps/examples/limits.cpp:
    /// @code
    /// auto ask = rt.operation("ask", {.rate = {.per_second = 1000, .burst = 4}}, [] { return 1;
    /// });
    /// @endcode
    rate_limit rate = {};

    /// What becomes of calls that are equal to one in flight: that is, until its callable has
    /// returned. Arguments are compared by `==` (those by which a sticky key is made by their
    /// address, too: pointers and std::ref), after their hashes; copies of them are kept for that.
    /// `==` must not call operations. All handles of a token are alike: a kill() concerns them all,
    /// and a result that cannot be copied cannot be moved out while there are others. A token that
    /// calls its own operation with its own arguments gets itself. post() makes no token, then.
    /// Declaring an operation whose arguments cannot be compared throws operation_error.
    /// From apps/examples/limits.cpp:
    /// @code
    /// auto load = rt.operation("load", {.duplicates = tg::duplicates::coalesce},
    /// @endcode
    tokengate::duplicates duplicates = tokengate::duplicates::allow;

    /// Over how many domains the algorithms of oneTBB spread that the callable uses: see domains().
    arena_width arena = {};

    /// For an operation whose arguments are of the other kind.
    /// @throws operation_error if it is sticky by arguments that cannot be hashed
    operator basic_operation_traits<!hashable>() const {
        // By way of the base class, which tells nothing about the value.
        const tokengate::sticky& how = sticky;
        return {.weight = weight,
                .sticky = how,
                .external_calls = external_calls,
                .digest = digest,
                .placement = placement,
                .queue_timeout = queue_timeout,
                .run_timeout = run_timeout,
                .retry = retry,
                .storage = storage,
                .timed = timed,
                .slow_after = slow_after,
                .health = health,
                .spikes = spikes,
                .in_flight = in_flight,
                .rate = rate,
                .duplicates = duplicates,
                .arena = arena};
    }
};

/// How the tokens of an operation are treated. Use designated initialisers, so that traits added
/// later do not break your code. From apps/examples/weights.cpp:
/// @code
/// auto log = rt.operation("log", {.weight = tg::weight::light}, spin);
/// @endcode
using operation_traits = basic_operation_traits<true>;

namespace detail {

template <class Signature>
inline constexpr bool hashable_parameters = true;
template <class R, class... P>
inline constexpr bool hashable_parameters<R(P...)> = (hashable<std::decay_t<P>> && ...);

template <class F>
struct traits_of_callable : std::type_identity<operation_traits> {};
template <has_signature F>
struct traits_of_callable<F>
    : std::type_identity<basic_operation_traits<hashable_parameters<signature_of<F>>>> {};

/// The traits that an operation of callable F takes. A callable without one signature counts as
/// hashable: its arguments are known only at each call.
template <class F>
using traits_for = typename traits_of_callable<std::decay_t<F>>::type;

/// Where the keys of an operation begin, see hash_arguments(). Numbers 0 and 1 are the two halves
/// of a fingerprint.
[[nodiscard]] inline std::uint64_t key_seed(const sticky& how, std::string_view operation,
                                            unsigned number = 0) {
    const bool by_operation = how.source() == sticky::key_source::arguments;
    return hash_name(by_operation ? operation : std::string_view(how.anchor()),
                     static_cast<unsigned>(how.source()), number);
}

}  // namespace detail

}  // namespace tokengate
