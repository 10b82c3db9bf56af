// SPDX-License-Identifier: Apache-2.0
/// @file
/// Runs something that may end the process in a process of its own.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "sanitizers.hpp"

/// That of a build which counts what is reached: see `./dev test coverage`.
extern "C" [[gnu::weak]] int __llvm_profile_write_file();

namespace tokengate::test {

/// Whether a child process may begin threads: the thread sanitizer's may not. For doctest::skip().
inline constexpr bool no_threads_in_children = finds_races;

/// Runs `body`, which returns an exit code, in a child process. Says how the child ended: "exit 0"
/// is what tests hope for, "killed by signal ..." what they fear. A child that hangs is killed.
template <class Body>
std::string in_child(Body&& body, unsigned seconds = 60) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("fork() failed");
    if (child == 0) {
        // The test framework would take the signal, or the exception, for its own.
        signal(SIGABRT, SIG_DFL);
        signal(SIGSEGV, SIG_DFL);
        signal(SIGALRM, SIG_DFL);
        alarm(seconds);
        int code = 120;
        try {
            code = body();
        } catch (const std::exception& unexpected) {
            std::fprintf(stderr, "in the child process: %s\n", unexpected.what());
        } catch (...) {
            code = 121;
        }
        // Nothing of the parent's is to be destroyed or flushed again; what was reached is to
        // count.
        if (__llvm_profile_write_file != nullptr) static_cast<void>(__llvm_profile_write_file());
        _exit(code);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status)) return "exit " + std::to_string(WEXITSTATUS(status));
    const int number = WTERMSIG(status);
    return number == SIGALRM ? "hung" : "killed by signal " + std::string(strsignal(number));
}

/// What CHECK() is elsewhere, for such a child: nobody asks the test framework there.
inline void expect(bool fine, const std::string& what) {
    if (!fine) throw std::logic_error(what);
}

/// Begins this program anew, with an argument. Returns only if that fails.
inline int become_a_fresh_process(const char* argument) {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    execl(self.c_str(), self.c_str(), argument, static_cast<char*>(nullptr));
    return 122;
}

}  // namespace tokengate::test
