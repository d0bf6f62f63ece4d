"""Waiting for something with a limit, and saying what was expected of it."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Patience:
    """How many times longer than on a machine of its own things may take here: others use its processors, too. It stretches limits of waiting only."""

    factor = 1.0


class Failed(Exception):
    """What a check found is not what it expects."""


class Skipped(Exception):
    """A check cannot run here, and why."""


def expect(condition: object, what: str) -> None:
    if not condition:
        raise Failed(what)


def equal(actual: object, expected: object, what: str) -> None:
    if actual != expected:
        raise Failed(f"{what}: {actual}, expected {expected}")


def eventually(look: Callable[[], T], limit: float, what: str, every: float = 0.1) -> T:
    """Looks until the answer is true; the answer."""
    deadline = time.monotonic() + limit * Patience.factor
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {limit * Patience.factor:.0f} s")
        time.sleep(every)


def settled(look: Callable[[], T], expected: T, limit: float, what: str, every: float = 0.1) -> None:
    """Looks until the answer is the expected one."""
    deadline = time.monotonic() + limit * Patience.factor
    while (found := look()) != expected:
        if time.monotonic() > deadline:
            raise Failed(f"{what}: {found} after {limit * Patience.factor:.0f} s, expected {expected}")
        time.sleep(every)
