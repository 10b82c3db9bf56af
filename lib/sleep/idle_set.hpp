// SPDX-License-Identifier: Apache-2.0
/// @file
/// Which workers have nothing to do. Protocol: README.md.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include <tokengate/detail/atomic.hpp>

namespace tokengate::detail {

/// A set of worker numbers, one bit each. A worker announces itself before its last look for
/// work; whoever submits a token claims one worker out of the set and wakes it.
///
/// Numbers are dense and go domain by domain, so that a range of domains is a range of numbers.
class idle_set {
  public:
    explicit idle_set(std::size_t workers)
        : word_count_(std::max<std::size_t>(1, (workers + bits - 1) / bits)),
          words_(std::make_unique<word[]>(word_count_)) {}

    /// Puts a worker into the set. It must look for work afterwards, before it sleeps.
    void announce(std::size_t worker) noexcept {
        // Seq_cst: the worker's side of the Dekker pattern with claim(); see README.md.
        at(worker).fetch_or(bit(worker), std::memory_order_seq_cst);
    }

    /// Takes a worker out of the set because it has found work itself. False if somebody has
    /// claimed it meanwhile: then that claim must be passed on.
    [[nodiscard]] bool withdraw(std::size_t worker) noexcept {
        return (at(worker).fetch_and(~bit(worker), std::memory_order_seq_cst) & bit(worker)) != 0;
    }

    /// Takes some worker with a number in [first, last) out of the set; tries `first` and up.
    /// The caller must wake it. The caller's token must be visible before: it has made a seq_cst
    /// fence since it published the token.
    [[nodiscard]] std::optional<std::size_t> claim(std::size_t first, std::size_t last) noexcept {
        for (std::size_t index = first / bits; index * bits < last; ++index) {
            const std::uint64_t mask = mask_of(index, first, last);
            atomic<std::uint64_t>& current = words_[index].value;
            // Seq_cst: the submitter's side of the Dekker pattern with announce().
            std::uint64_t candidates = current.load(std::memory_order_seq_cst) & mask;
            while (candidates != 0) {
                const std::uint64_t chosen = candidates & (~candidates + 1);
                const std::uint64_t before = current.fetch_and(~chosen, std::memory_order_seq_cst);
                if ((before & chosen) != 0) {
                    return index * bits + static_cast<std::size_t>(std::countr_zero(chosen));
                }
                candidates = before & mask;
            }
        }
        return std::nullopt;
    }

    /// The lowest worker in [first, last) that is in the set; it stays there.
    [[nodiscard]] std::optional<std::size_t> lowest(std::size_t first,
                                                    std::size_t last) const noexcept {
        for (std::size_t index = first / bits; index * bits < last; ++index) {
            // Relaxed: a preference for a free worker, which nothing else relies on.
            const std::uint64_t found =
                words_[index].value.load(std::memory_order_relaxed) & mask_of(index, first, last);
            if (found != 0) {
                return index * bits + static_cast<std::size_t>(std::countr_zero(found));
            }
        }
        return std::nullopt;
    }

    /// Where numbers begin: those from some worker up.
    struct start {
        std::size_t index = 0;                   ///< of the word in which they begin
        std::uint64_t mask = ~std::uint64_t{0};  ///< those of them in this word
    };
    [[nodiscard]] static start from(std::size_t first) noexcept {
        return {.index = first / bits, .mask = ~std::uint64_t{0} << (first % bits)};
    }

    /// True if the set holds a worker of those numbers, of which there are some: one look for each
    /// 64 workers.
    [[nodiscard]] bool holds_any(start numbers) const noexcept {
        // Seq_cst: as in claim(), here and below.
        if ((words_[numbers.index].value.load() & numbers.mask) != 0) return true;
        for (std::size_t index = numbers.index + 1; index < word_count_; ++index) {
            if (words_[index].value.load() != 0) return true;
        }
        return false;
    }

  private:
    static constexpr std::size_t bits = 64;
    struct alignas(64) word {
        atomic<std::uint64_t> value{0};
    };

    static std::uint64_t bit(std::size_t worker) noexcept {
        return std::uint64_t{1} << (worker % bits);
    }
    static std::uint64_t mask_of(std::size_t index, std::size_t first, std::size_t last) noexcept {
        std::uint64_t mask = ~std::uint64_t{0};
        const std::size_t start = index * bits;
        if (first > start) mask &= ~std::uint64_t{0} << (first - start);
        if (last < start + bits) mask &= ~(~std::uint64_t{0} << (last - start));
        return mask;
    }
    atomic<std::uint64_t>& at(std::size_t worker) noexcept { return words_[worker / bits].value; }

    std::size_t word_count_;
    std::unique_ptr<word[]> words_;
};

/// One worker's number in its set.
struct idle_seat {
    idle_set& set;
    const std::size_t number;

    /// As there.
    void announce() noexcept { set.announce(number); }
    [[nodiscard]] bool withdraw() noexcept { return set.withdraw(number); }
};

}  // namespace tokengate::detail
