// SPDX-License-Identifier: Apache-2.0
#include "sleep/fence.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cstdio>
#include <exception>

namespace tokengate::detail {

namespace {

bool membarrier(int command) noexcept { return syscall(SYS_membarrier, command, 0, 0) == 0; }

}  // namespace

void prepare_heavy_fences() noexcept {
#if !defined(TOKENGATE_THREAD_SANITIZER)  // which does not know that system call
    // Again for each runtime: a child process after fork() may not have inherited it.
    if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)) {
        heavy_fences_work.store(true, std::memory_order_relaxed);
    }
#endif
}

void heavy_fence() noexcept {
    full_fence();
    if (!heavy_fences_work.load(std::memory_order_relaxed)) return;
    // The others are slower, and for the case that the first one has been forbidden since.
    if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) || membarrier(MEMBARRIER_CMD_GLOBAL)) return;
    std::fputs(
        "tokengate: membarrier() does not work any more in this process, which has relied on it "
        "so far. Let the filter of system calls permit it, or set it up before the first runtime "
        "is created.\n",
        stderr);
    std::terminate();
}

}  // namespace tokengate::detail
