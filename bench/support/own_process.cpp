// SPDX-License-Identifier: Apache-2.0
#include "support/own_process.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string>
#include <system_error>

#include "support/work.hpp"

namespace tokengate::bench {

namespace {

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

// The child's answer: a mark, then the number as it is in memory or the text of an exception.
constexpr char is_number = '=';
constexpr char is_error = '!';

void send(int pipe, char mark, const void* content, std::size_t bytes) {
    std::string message(1, mark);
    message.append(static_cast<const char*>(content), bytes);
    for (std::size_t sent = 0; sent < message.size();) {
        const ssize_t now = write(pipe, message.data() + sent, message.size() - sent);
        if (now < 0 && errno != EINTR) return;  // the parent finds half a message
        if (now > 0) sent += static_cast<std::size_t>(now);
    }
}

// Returns to nobody: what the parent would do at its end is not the child's business.
[[noreturn]] void be_the_child(int pipe, const std::function<double()>& measure) {
    try {
        const double found = measure();
        send(pipe, is_number, &found, sizeof found);
    } catch (const std::exception& wrong) {
        send(pipe, is_error, wrong.what(), std::strlen(wrong.what()));
    }
    _exit(0);
}

std::string receive(int pipe) {
    std::string message;
    std::array<char, 512> part{};
    for (;;) {
        const ssize_t now = read(pipe, part.data(), part.size());
        if (now < 0 && errno == EINTR) continue;
        if (now <= 0) return message;
        message.append(part.data(), static_cast<std::size_t>(now));
    }
}

}  // namespace

double in_own_process(const std::function<double()>& measure) {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) fail("pipe");
    const pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        close(ends[0]);
        be_the_child(ends[1], measure);
    }
    close(ends[1]);
    const std::string message = receive(ends[0]);
    close(ends[0]);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (WIFSIGNALED(status)) {
        throw wrong_result("its process ended by signal " + std::to_string(WTERMSIG(status)));
    }
    double found = 0;
    if (message.size() == 1 + sizeof found && message.front() == is_number) {
        std::memcpy(&found, message.data() + 1, sizeof found);
        return found;
    }
    throw wrong_result(message.empty() ? "its process ended without a result" : message.substr(1));
}

}  // namespace tokengate::bench
