# SPDX-License-Identifier: Apache-2.0
"""Where a run took place: the machine, the revision, the build, and who else used the machine."""

import json
import os
import platform
import resource
import subprocess
from pathlib import Path

DISTURBED = 0.03  # share of the machine that others may use before the figures are called noisy


def cpu_model():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def describe():
    return {
        "cpu": cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "virtual": "hypervisor" in open("/proc/cpuinfo").read(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def revision():
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty"],
            cwd=Path(__file__).parent, capture_output=True, text=True, check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def build_options(build_dir):
    options = json.loads((build_dir / "meson-info/intro-buildoptions.json").read_text())
    wanted = ("buildtype", "optimization", "debug", "b_lto", "b_pgo", "b_ndebug", "cpp_args")
    return {o["name"]: o["value"] for o in options if o["section"] == "user" or o["name"] in wanted}


def environment():
    """The settings that a run was given from outside."""
    return {k: v for k, v in os.environ.items() if k.startswith("TOKENGATE_")}


class Disturbance:
    """How much of the machine others used while this process and its children measured."""

    def __init__(self):
        self.start = self.look()

    @staticmethod
    def look():
        ticks = [int(n) for n in open("/proc/stat").readline().split()[1:9]]
        user, nice, system, idle, wait, irq, softirq, steal = ticks
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        own_self = resource.getrusage(resource.RUSAGE_SELF)
        mine = sum(each.ru_utime + each.ru_stime for each in (own, own_self))
        busy = (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
        return {"all": sum(ticks) / os.sysconf("SC_CLK_TCK"), "others": busy - mine,
                "steal": steal / os.sysconf("SC_CLK_TCK")}

    def shares(self):
        now = self.look()
        passed = max(now["all"] - self.start["all"], 1e-9)
        return {key: round(max(now[key] - self.start[key], 0) / passed, 4)
                for key in ("others", "steal")}


def disturbed(work):
    """The shares of others and of the host if they were too large for a work's times, or None."""
    shares = work.get("machine_share")
    if not shares or shares["others"] + shares["steal"] <= DISTURBED:
        return None
    return shares["others"], shares["steal"]
