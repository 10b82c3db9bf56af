// SPDX-License-Identifier: Apache-2.0
/// @file
/// Everything that TokenGate throws.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tokengate/detail/state_word.hpp>

namespace tokengate {

/// Base of all exceptions of the library. `what()` says what happened, to what, and what to do.
class error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// A setting is out of its range; `what()` names every wrong one with the values that are allowed.
class config_error : public error {
  public:
    using error::error;
};

/// The machine's topology cannot be read, or the requested one does not exist.
class topology_error : public error {
  public:
    using error::error;
};

/// An operation cannot be declared: its name is empty or already in use.
class operation_error : public error {
  public:
    using error::error;
};

/// The system refused a resource that the runtime needs: a worker thread, memory for its lanes.
class resource_error : public error {
  public:
    using error::error;
};

/// A call was made on a runtime that is stopping or has stopped. Nothing was accepted.
class runtime_stopped : public error {
  public:
    using error::error;
};

/// An operation was called that drains, or has been drained. Nothing was accepted.
class operation_drained : public error {
  public:
    using error::error;
};

/// A limit of its operation, or the memory limit of its runtime, has turned a call away. Nothing
/// was accepted.
class call_refused : public error {
  public:
    using error::error;
};

/// A call was made in a child process after fork(), where no worker exists.
class runtime_forked : public error {
  public:
    using error::error;
};

/// A token waits for itself, or for a token that cannot go on before this one returns.
class deadlock : public error {
  public:
    using error::error;
};

/// A call of an operation that is blocked because it fails too often. Nothing was accepted.
class operation_blocked : public error {
  public:
    /// For the library: what the questions below tell.
    operation_blocked(const std::string& message, std::string_view operation,
                      std::uint64_t attempts, std::uint64_t failures,
                      std::chrono::steady_clock::time_point since)
        : error(message),
          operation_(operation),
          attempts_(attempts),
          failures_(failures),
          since_(since) {}

    /// The name of the operation; valid to the end of the process.
    [[nodiscard]] std::string_view operation() const noexcept { return operation_; }

    /// How many attempts were in the window when it was blocked.
    [[nodiscard]] std::uint64_t attempts() const noexcept { return attempts_; }

    /// How many of these had failed.
    [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }

    /// When it was blocked.
    [[nodiscard]] std::chrono::steady_clock::time_point since() const noexcept { return since_; }

  private:
    std::string_view operation_;
    std::uint64_t attempts_;
    std::uint64_t failures_;
    std::chrono::steady_clock::time_point since_;
};

/// A handle that holds no token was asked for one.
class empty_token : public error {
  public:
    using error::error;
};

/// The only copy of a move-only result was asked for through a handle that others share.
class result_shared : public error {
  public:
    using error::error;
};

/// The token was killed before it could deliver a result.
class token_killed : public error {
  public:
    /// For the library: what the questions below tell.
    token_killed(const std::string& message, std::uint64_t id, std::string reason = {})
        : error(message),
          id_(id),
          reason_(std::make_shared<const std::string>(std::move(reason))) {}

    /// The id of the killed token.
    [[nodiscard]] std::uint64_t id() const noexcept { return id_; }

    /// What kill() was given; empty if it was given nothing, or the runtime's deadline came.
    [[nodiscard]] const std::string& reason() const noexcept { return *reason_; }

  private:
    std::uint64_t id_;
    std::shared_ptr<const std::string> reason_;  ///< so that copies throw nothing
};

/// The token missed a deadline of its operation; `what()` says which.
class token_timed_out : public error {
  public:
    /// For the library: what the question below tells.
    token_timed_out(const std::string& message, std::uint64_t id) : error(message), id_(id) {}

    /// The id of the token.
    [[nodiscard]] std::uint64_t id() const noexcept { return id_; }

  private:
    std::uint64_t id_;
};

/// A token has not run because another one, whose result it was to take as an argument, or which it
/// was to come after, has no result: it failed, was killed or was timed out, or was not run for a
/// reason of this kind itself. `what()` names all of them, from the nearest to the first that went
/// wrong, and says what happened to that. From apps/examples/dataflow.cpp:
/// @code
/// } catch (const tg::dependency_failed& why) {
///     std::cout << why.causes().back().operation << " is to blame\n";
/// @endcode
class dependency_failed : public error {
  public:
    /// A token on the way.
    struct cause {
        std::uint64_t id = 0;                     ///< its id
        std::string operation;                    ///< the name of its operation
        token_state ended = token_state::failed;  ///< how: failed, killed or timed_out
    };

    /// The id of the token that has not run.
    [[nodiscard]] std::uint64_t id() const noexcept;

    /// The tokens between it and the one that went wrong, which is the last: at most 8 from either
    /// end.
    [[nodiscard]] const std::vector<cause>& causes() const noexcept;

    /// How many are left out in the middle.
    [[nodiscard]] std::size_t omitted() const noexcept;

    /// What the callable of that one threw; null if it was killed or timed out.
    [[nodiscard]] const std::exception_ptr& root() const noexcept;

    /// For the library: a token was not run because of this one.
    /// @param thrown  what that one's callable threw, if it did
    /// @param why     else the reason that was given, if there is one
    [[nodiscard]] static dependency_failed made(std::uint64_t id, std::string_view operation,
                                                cause nearest, std::exception_ptr thrown,
                                                std::string why);

  private:
    struct details;
    dependency_failed(const std::string& message, std::shared_ptr<const details> known);

    std::shared_ptr<const details> known_;  ///< so that copies throw nothing
};

}  // namespace tokengate
