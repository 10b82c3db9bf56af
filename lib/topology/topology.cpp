// SPDX-License-Identifier: Apache-2.0
#include <tokengate/topology.hpp>

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

#include <tokengate/error.hpp>

#include "topology/grouping.hpp"
#include "topology/machine.hpp"
#include "topology/quota.hpp"

namespace tokengate {
namespace {

void append(std::vector<std::string>& to, std::vector<std::string> sentences) {
    std::move(sentences.begin(), sentences.end(), std::back_inserter(to));
}

void check(const topology_request& request) {
    if (request.domains && (*request.domains < 1 || *request.domains > topology::max_domains)) {
        throw topology_error("cannot cut the machine into " + std::to_string(*request.domains) +
                             " domains: ask for 1 to " + std::to_string(topology::max_domains) +
                             ", or leave it open to have one for each core");
    }
}

/// Lengthens or shortens the ranking to what was asked for.
void resize_to(std::vector<domain_info>& domains, std::size_t wanted,
               std::vector<std::string>& limits) {
    const std::size_t there = domains.size();
    if (wanted < there) {
        limits.push_back("Of " + std::to_string(there) + " domains only the first " +
                         std::to_string(wanted) + " were asked for.");
        domains.resize(wanted);
        return;
    }
    if (wanted > there) {
        limits.push_back(std::to_string(wanted) +
                         " domains were asked for where the hardware has " + std::to_string(there) +
                         ": the numbering wraps around, domain i shares "
                         "the CPUs of domain i mod " +
                         std::to_string(there) + ".");
    }
    domains.reserve(wanted);
    for (std::size_t i = there; i < wanted; ++i) {
        domain_info copy = domains[i % there];
        copy.index = static_cast<unsigned>(i);
        domains.push_back(std::move(copy));
    }
}

}  // namespace

std::string_view to_string(domain_scope scope) noexcept {
    switch (scope) {
        case domain_scope::core: return "core";
        case domain_scope::l2: return "l2";
        case domain_scope::l3: return "l3";
        case domain_scope::numa: return "numa";
    }
    return "unknown";
}

std::string cpu_list(const std::vector<unsigned>& cpus) {
    std::string text;
    for (std::size_t first = 0; first < cpus.size();) {
        std::size_t last = first;
        while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) {
            ++last;
        }
        text += (text.empty() ? "" : ",") + std::to_string(cpus[first]);
        if (last != first) {
            text += '-' + std::to_string(cpus[last]);
        }
        first = last + 1;
    }
    return text;
}

topology topology::discover(const topology_request& request) {
    check(request);
    detail::machine machine = detail::read_machine(request);
    detail::grouping grouping = detail::group_by(machine, request.scope);

    topology result;
    result.source_ = std::move(machine.source);
    result.binds_ = machine.binds;
    append(result.limits_, std::move(machine.notes));
    append(result.limits_, std::move(grouping.notes));

    const std::size_t there = grouping.domains.size();
    if (request.domains) {
        resize_to(grouping.domains, *request.domains, result.limits_);
    } else if (machine.local) {
        // Wider than the quota, threads would only be throttled together.
        if (const std::optional<detail::cpu_quota> quota = detail::read_cpu_quota()) {
            const std::size_t width = detail::width_within(grouping, quota->cpus());
            if (width < there) {
                result.limits_.push_back("The cgroup CPU quota (" + quota->text() + ") leaves " +
                                         std::to_string(width) + " of " + std::to_string(there) +
                                         " domains.");
                grouping.domains.resize(width);
            }
        }
    }
    result.distinct_ = std::min(there, grouping.domains.size());
    result.domains_ = std::move(grouping.domains);
    return result;
}

proximity topology::between(std::size_t a, std::size_t b) const {
    const domain_info& first = domains_.at(a);
    const domain_info& second = domains_.at(b);
    if (a % distinct_ == b % distinct_) {
        return proximity::same_cpus;
    }
    if (first.l2 && first.l2 == second.l2) {
        return proximity::l2;
    }
    if (first.l3 && first.l3 == second.l3) {
        return proximity::l3;
    }
    if (first.numa_node && first.numa_node == second.numa_node) {
        return proximity::numa;
    }
    return proximity::remote;
}

std::vector<unsigned> topology::neighbours(std::size_t index) const {
    const std::size_t last = domains_.size() - 1;
    if (index > last) {
        throw std::out_of_range("there is no domain " + std::to_string(index) +
                                ": they are numbered 0 to " + std::to_string(last));
    }
    std::vector<unsigned> others;
    others.reserve(domains_.size());
    for (std::size_t step = 1; step < domains_.size(); ++step) {
        others.push_back(static_cast<unsigned>((index + step) % domains_.size()));
    }
    std::stable_sort(others.begin(), others.end(),
                     [&](unsigned a, unsigned b) { return between(index, a) < between(index, b); });
    return others;
}

}  // namespace tokengate
