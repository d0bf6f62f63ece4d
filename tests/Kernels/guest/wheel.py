"""How late a timer of the kernel's may fire, by kernel/time/timer.c: what the product's own arithmetic is held against."""

import os
import re
import time
from pathlib import Path

LEVEL_SLOTS = 64
LEVEL_SHIFT = 3


CHOICES = (100, 250, 300, 1000)  # kernel/Kconfig.hz


def ticks_per_second() -> int:
    """By the kernel's configuration, and where its packages have none (from 6.19 on) by its own count of ticks."""
    release = os.uname().release
    for config in (Path(os.environ["KERNEL_DIRECTORY"]) / "boot" / f"config-{release}", Path("/lib/modules") / release / "config"):
        if config.exists():
            return int(re.search(r"^CONFIG_HZ=(\d+)$", config.read_text(), re.MULTILINE).group(1))
    (ticks, at), (later_ticks, later) = _ticks(), (time.sleep(2), _ticks())[1]
    measured = (later_ticks - ticks) / (later - at) * 1e9
    return min(CHOICES, key=lambda hz: abs(hz - measured))


def _ticks() -> tuple[int, int]:
    """Ticks and nanoseconds by /proc/timer_list."""
    text = Path("/proc/timer_list").read_text()
    return (
        max(int(ticks) for ticks in re.findall(r"^jiffies: (\d+)$", text, re.MULTILINE)),
        int(re.search(r"^now at (\d+) nsecs$", text, re.MULTILINE).group(1)),
    )


def latest(seconds: int, hz: int) -> float:
    """The longest that a wait of so many seconds may take."""
    ticks, level = seconds * hz, 0
    while ticks >= (LEVEL_SLOTS - 1) << (LEVEL_SHIFT * level):
        level += 1
    return (ticks + (1 << (LEVEL_SHIFT * level))) / hz


def latest_death(first: int, interval: int, probes: int, hz: int) -> float:
    return latest(max(first, interval), hz) + probes * latest(interval, hz)
