// SPDX-License-Identifier: Apache-2.0
#include "scratch.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <system_error>

namespace tokengate::app {
namespace {

struct closer {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using file_handle = std::unique_ptr<std::FILE, closer>;

std::system_error refused(const char* what, const std::filesystem::path& path) {
    const int reason = errno;  // before anything else sets it
    return {reason, std::generic_category(), std::string(what) + " '" + path.string() + "'"};
}

void write_all(const std::filesystem::path& path, const char* mode, std::string_view content) {
    file_handle file(std::fopen(path.c_str(), mode));
    if (!file) throw refused("cannot open", path);
    // The stream hands its buffer over when it is closed, so that is when a full disk shows.
    const bool written =
        std::fwrite(content.data(), 1, content.size(), file.get()) == content.size();
    if (std::fclose(file.release()) != 0 || !written) throw refused("cannot write", path);
}

}  // namespace

scratch_directory::scratch_directory() {
    const char* chosen = std::getenv("TMPDIR");
    const std::filesystem::path parent = chosen != nullptr && *chosen != '\0' ? chosen : "/tmp";
    std::string name = (parent / "tokengate-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
        throw refused("cannot make a temporary directory (TMPDIR says where) in", parent);
    }
    path_ = name;
}

scratch_directory::~scratch_directory() {
    std::error_code ignored;  // nobody is left to hear of it
    std::filesystem::remove_all(path_, ignored);
}

void write_file(const std::filesystem::path& path, std::string_view content) {
    write_all(path, "wbe", content);
}

// O_APPEND makes one write at the end of the file indivisible, and a line that fits into the
// stream's buffer is one write.
void append_line(const std::filesystem::path& path, std::string_view line) {
    write_all(path, "abe", std::string(line) + '\n');
}

std::string read_file(const std::filesystem::path& path) {
    const file_handle file(std::fopen(path.c_str(), "rbe"));
    if (!file) {
        if (errno == ENOENT) return {};
        throw refused("cannot open", path);
    }
    std::string content;
    char buffer[16'384];
    while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, file.get())) {
        content.append(buffer, count);
    }
    if (std::ferror(file.get()) != 0) throw refused("cannot read", path);
    return content;
}

}  // namespace tokengate::app
