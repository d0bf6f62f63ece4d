"""What every scenario gets."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import checks
from guest.report import Report


@dataclass(frozen=True)
class Bed:
    report: Report
    quick: bool
    series: checks.Series
    built: Path  # programs that the host compiled for the machine

    @property
    def datapaths(self) -> tuple[str, ...]:
        return checks.datapaths(self.series)

    @contextmanager
    def check(self, check: checks.Check, datapath: str = "", **more: int) -> Iterator[None]:
        with self.report.check(check.name, datapath, **more):
            yield

    def note(self, text: str) -> None:
        self.report.note(text)

    @staticmethod
    def release() -> str:
        return os.uname().release
