"""How late a timer of the kernel's may fire, by kernel/time/timer.c: what the product's own arithmetic is held against."""

import os
import re
from pathlib import Path

LEVEL_SLOTS = 64
LEVEL_SHIFT = 3


def ticks_per_second() -> int:
    config = Path(os.environ["KERNEL_DIRECTORY"]) / "boot" / f"config-{os.uname().release}"
    if not config.exists():
        config = Path("/lib/modules") / os.uname().release / "config"
    return int(re.search(r"^CONFIG_HZ=(\d+)$", config.read_text(), re.MULTILINE).group(1))


def latest(seconds: int, hz: int) -> float:
    """The longest that a wait of so many seconds may take."""
    ticks, level = seconds * hz, 0
    while ticks >= (LEVEL_SLOTS - 1) << (LEVEL_SHIFT * level):
        level += 1
    return (ticks + (1 << (LEVEL_SHIFT * level))) / hz


def latest_death(time: int, interval: int, probes: int, hz: int) -> float:
    return latest(max(time, interval), hz) + probes * latest(interval, hz)
