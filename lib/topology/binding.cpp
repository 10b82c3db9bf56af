// SPDX-License-Identifier: Apache-2.0
#include "topology/binding.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <exception>
#include <limits>
#include <new>
#include <system_error>

#include <tokengate/error.hpp>

namespace tokengate::detail {
namespace {

constexpr unsigned word_bits = std::numeric_limits<unsigned long>::digits;

// cpu_set_t holds 1024 CPUs; larger machines pass longer arrays of the same words (see CPU_ALLOC).
cpu_set_t* as_cpu_set(unsigned long* words) noexcept { return reinterpret_cast<cpu_set_t*>(words); }

const cpu_set_t* as_cpu_set(const unsigned long* words) noexcept {
    return reinterpret_cast<const cpu_set_t*>(words);
}

std::string asked_for(const domain_info& domain) {
    return "cannot bind a thread to domain " + std::to_string(domain.index) + " (CPU list " +
           cpu_list(domain.cpus) + "): ";
}

}  // namespace

cpu_mask::cpu_mask(const std::vector<unsigned>& cpus) {
    if (cpus.empty()) {
        return;
    }
    const unsigned last = *std::max_element(cpus.begin(), cpus.end());
    if (last > max_cpu) {
        throw topology_error("CPU " + std::to_string(last) +
                             " cannot exist: indexes go from 0 to " + std::to_string(max_cpu));
    }
    words_.resize(last / word_bits + 1);
    for (const unsigned cpu : cpus) {
        words_[cpu / word_bits] |= 1UL << (cpu % word_bits);
    }
}

bool cpu_mask::contains(unsigned cpu) const noexcept {
    return cpu / word_bits < words_.size() &&
           (words_[cpu / word_bits] >> (cpu % word_bits) & 1UL) != 0;
}

std::vector<unsigned> cpu_mask::cpus() const {
    std::vector<unsigned> result;
    for (std::size_t word = 0; word < words_.size(); ++word) {
        for (unsigned long left = words_[word]; left != 0; left &= left - 1) {
            result.push_back(static_cast<unsigned>(word) * word_bits +
                             static_cast<unsigned>(std::countr_zero(left)));
        }
    }
    return result;
}

cpu_mask this_thread_mask() noexcept {
    cpu_mask mask;
    try {
        // The kernel refuses with EINVAL until the array is as long as its own sets.
        for (std::size_t words = CPU_SETSIZE / word_bits;
             words <= (std::size_t{cpu_mask::max_cpu} + 1) / word_bits; words *= 2) {
            mask.words_.assign(words, 0);
            if (sched_getaffinity(0, words * sizeof(unsigned long),
                                  as_cpu_set(mask.words_.data())) == 0) {
                while (!mask.words_.empty() && mask.words_.back() == 0) {
                    mask.words_.pop_back();
                }
                return mask;
            }
            if (errno != EINVAL) {
                break;
            }
        }
    } catch (const std::bad_alloc&) {
        errno = ENOMEM;
    }
    mask.words_.clear();
    return mask;
}

bool set_this_thread_mask(const cpu_mask& mask) noexcept {
    // 0 is the calling thread, not the process.
    return set_thread_mask(0, mask);
}

int this_thread_id() noexcept { return gettid(); }

bool set_thread_mask(int thread, const cpu_mask& mask) noexcept {
    // An empty mask is refused by the kernel (EINVAL).
    return sched_setaffinity(thread, mask.words_.size() * sizeof(unsigned long),
                             as_cpu_set(mask.words_.data())) == 0;
}

bind_result bind_this_thread(const domain_info& domain) noexcept {
    try {
        const cpu_mask wanted(domain.cpus);
        if (!set_this_thread_mask(wanted)) {
            const int error_number = errno;
            return {false, asked_for(domain) + std::generic_category().message(error_number) +
                               (error_number == EINVAL
                                    ? " (none of them exists here, or the cpuset excludes them)"
                                    : "")};
        }
        const cpu_mask held = this_thread_mask();
        if (held != wanted) {
            return {false, asked_for(domain) + "the system gave only the CPU list " +
                               (held.empty() ? "(unknown)" : cpu_list(held.cpus()))};
        }
        return {true, {}};
    } catch (const std::bad_alloc&) {
        return {false, "out of memory"};  // short enough to need none
    } catch (const std::exception& problem) {
        try {
            return {false, asked_for(domain) + problem.what()};
        } catch (...) {
            return {false, "out of memory"};
        }
    }
}

}  // namespace tokengate::detail
