// SPDX-License-Identifier: Apache-2.0
// Why a token has failed that others were to deliver arguments to.
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <tokengate/detail/frame.hpp>
#include <tokengate/error.hpp>

#include "dataflow/dependents.hpp"
#include "domain/ending.hpp"
#include "token/reasons.hpp"

namespace tokengate {

namespace {

using cause = dependency_failed::cause;

// How many causes a chain keeps at either end.
constexpr std::size_t most_causes = 8;

std::string name_of(std::uint64_t id, std::string_view operation) {
    return "token " + std::to_string(id) + " of operation '" + std::string(operation) + "'";
}

std::string text_of(const std::exception_ptr& thrown) {
    try {
        std::rethrow_exception(thrown);
    } catch (const std::exception& known) {
        return known.what();
    } catch (...) {
        return "something that is no std::exception";
    }
}

// Nearest first.
std::string describe(std::uint64_t id, std::string_view operation, const std::vector<cause>& causes,
                     std::size_t omitted, const std::string& root) {
    std::string text = name_of(id, operation) + " was not run";
    for (std::size_t i = 0; i < causes.size(); ++i) {
        const cause& each = causes[i];
        const bool last = i + 1 == causes.size();
        text += i == 0 ? " because its input, " : "; because ";
        if (omitted != 0 && i == most_causes) {
            text += "(of " + std::to_string(omitted) + " more, which are left out here, the last) ";
        }
        text += name_of(each.id, each.operation);
        if (!last) {
            text += i == 0 ? ", was not run either" : " was not run";
            continue;
        }
        text += i == 0 ? ", " : " ";
        switch (each.ended) {
            case token_state::killed: text += "was killed"; break;
            case token_state::timed_out: text += "was timed out"; break;
            default: text += "failed";
        }
        if (!root.empty()) text += ": " + root;
    }
    return text;
}

}  // namespace

struct dependency_failed::details {
    std::uint64_t id = 0;
    std::vector<cause> causes;
    std::size_t omitted = 0;
    std::exception_ptr root;
    std::string root_text;
};

dependency_failed::dependency_failed(const std::string& message,
                                     std::shared_ptr<const details> known)
    : error(message), known_(std::move(known)) {}

std::uint64_t dependency_failed::id() const noexcept { return known_->id; }

const std::vector<cause>& dependency_failed::causes() const noexcept { return known_->causes; }

std::size_t dependency_failed::omitted() const noexcept { return known_->omitted; }

const std::exception_ptr& dependency_failed::root() const noexcept { return known_->root; }

dependency_failed dependency_failed::made(std::uint64_t id, std::string_view operation,
                                          cause nearest, std::exception_ptr thrown,
                                          std::string why) {
    auto known = std::make_shared<details>();
    known->id = id;
    known->causes.push_back(std::move(nearest));
    known->root = std::move(thrown);
    known->root_text = std::move(why);
    if (known->root != nullptr) {
        try {
            std::rethrow_exception(known->root);
        } catch (const dependency_failed& before) {
            // Not the exception itself: they would be a list as long as the chain.
            const details& further = *before.known_;
            known->root = further.root;
            known->root_text = further.root_text;
            known->omitted = further.omitted;
            known->causes.insert(known->causes.end(), further.causes.begin(), further.causes.end());
            if (known->causes.size() > 2 * most_causes) {
                known->causes.erase(known->causes.begin() +
                                    static_cast<std::ptrdiff_t>(most_causes));
                ++known->omitted;
            }
        } catch (...) {
            known->root_text = text_of(known->root);
        }
    }
    const std::string message =
        describe(id, operation, known->causes, known->omitted, known->root_text);
    return {message, std::move(known)};
}

namespace detail {

std::exception_ptr failure_of_input(const token_node& dependent, token_node& ended) noexcept {
    try {
        const token_state how = ended.state.phase();
        const std::exception_ptr thrown = how == token_state::failed ? error_of(ended) : nullptr;
        return std::make_exception_ptr(dependency_failed::made(
            dependent.id, dependent.label->name,
            {.id = ended.id, .operation = ended.label->name, .ended = how}, thrown,
            thrown == nullptr ? end_reasons::of(ended) : std::string()));
    } catch (const std::bad_alloc&) {
        return std::make_exception_ptr(std::bad_alloc());
    }
}

}  // namespace detail

}  // namespace tokengate
