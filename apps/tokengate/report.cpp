// SPDX-License-Identifier: Apache-2.0
#include "report.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include <absl/strings/str_format.h>

#include "options.hpp"

namespace tokengate::app {

std::string duration_text(double seconds) {
    struct scale {
        double factor;
        const char* unit;
    };
    const scale in = seconds >= 1.0    ? scale{1.0, "s"}
                     : seconds >= 1e-3 ? scale{1e3, "ms"}
                                       : scale{1e6, "us"};
    const double value = seconds * in.factor;
    const int decimals = value >= 100.0 ? 0 : value >= 10.0 ? 1 : 2;
    return absl::StrFormat("%.*f %s", decimals, value, in.unit);
}

std::string number_text(double value, int decimals) {
    return absl::StrFormat("%.*f", decimals, value);
}

std::string count_text(std::uint64_t count, std::string_view thing) {
    return std::to_string(count) + ' ' + std::string(thing) + (count == 1 ? "" : "s");
}

void table::print_header() const {
    std::vector<std::string> titles;
    for (const column& each : columns_) titles.push_back(each.title);
    print_row(titles);
}

void table::print_row(const std::vector<std::string>& cells) const {
    std::string line;
    for (std::size_t i = 0; i < cells.size() && i < columns_.size(); ++i) {
        line += absl::StrFormat("%s%*s", i == 0 ? "" : "  ", columns_[i].width, cells[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    std::printf("%s\n", line.c_str());
    // A reader at the other end of a pipe sees each row when it is there.
    std::fflush(stdout);
}

progress_line::progress_line() : terminal_(::isatty(STDERR_FILENO) == 1) {}

void progress_line::show(std::string_view text) {
    if (!terminal_) return;
    std::fprintf(stderr, "\r\033[K%.*s", static_cast<int>(text.size()), text.data());
    std::fflush(stderr);
    shown_ = true;
}

void progress_line::clear() {
    if (!shown_) return;
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
    shown_ = false;
}

void print_json(const json& value) { std::printf("%s\n", value.dump().c_str()); }

output_file::output_file(std::string path) : path_(std::move(path)) {
    constexpr int flags = O_WRONLY | O_CLOEXEC;
    constexpr mode_t mode = 0666;
    descriptor_ = ::open(path_.c_str(), flags | O_CREAT | O_EXCL, mode);
    created_ = descriptor_ >= 0;
    // A name that exists already is opened as it is; O_CREAT is for links that lead nowhere yet.
    if (!created_ && errno == EEXIST) descriptor_ = ::open(path_.c_str(), flags | O_CREAT, mode);
    if (descriptor_ < 0) {
        const std::string reason = std::generic_category().message(errno);
        throw usage_error("cannot write '" + path_ + "': " + reason);
    }
}

output_file::~output_file() {
    ::close(descriptor_);
    if (created_ && !written_) ::unlink(path_.c_str());
}

void output_file::write(std::string_view content) {
    const auto refused = [this] {
        const int reason = errno;  // before anything else sets it
        return std::system_error(reason, std::generic_category(), "cannot write '" + path_ + "'");
    };
    written_ = true;
    struct stat about {};
    if (::fstat(descriptor_, &about) != 0) throw refused();
    if (S_ISREG(about.st_mode) && ::ftruncate(descriptor_, 0) != 0) throw refused();
    while (!content.empty()) {
        const ssize_t count = ::write(descriptor_, content.data(), content.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw refused();
        content.remove_prefix(static_cast<std::size_t>(count));
    }
}

}  // namespace tokengate::app
