"""The machines of one kernel: on this host's own root, and on a Debian root with systemd."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import checks
from host import debian_root, machine, matrix
from host.cache import Kernel
from host.suites import Unavailable

LIMIT_QUICK, LIMIT_WHOLE, LIMIT_SYSTEMD = 240, 900, 600
BOOTS = 2


@dataclass(frozen=True)
class Wanted:
    quick: bool
    only: str
    agent: Path
    repository: Path
    cache: Path
    out: Path
    package: Path | None = None

    @property
    def built(self) -> Path:
        return self.out / "built"

    def parameters(self, kernel: Kernel, seen_at: str = "") -> dict[str, str]:
        """For the machine's first programs, with paths as they are there."""
        return {
            "KERNEL_DIRECTORY": f"{seen_at}{kernel.directory}",
            "REPOSITORY": f"{seen_at}{self.repository}",
            "GUEST": f"{seen_at}{self.repository}/tests/Kernels/guest",
            "AGENT": f"{seen_at}{self.agent}",
            "BUILT": f"{seen_at}{self.built}",
            "MODE": "quick" if self.quick else "whole",
            "ONLY": self.only,
            "PACKAGE": f"{seen_at}{self.package}" if self.package else "",
        }


def run(kernel: Kernel, wanted: Wanted) -> matrix.Column:
    column = matrix.Column(kernel.release, checks.planned(kernel.series, quick=wanted.quick, package=wanted.package is not None))
    if wanted.only != "systemd":
        _own_root(kernel, wanted, column)
    if not wanted.quick and wanted.only in ("", "systemd"):
        _systemd(kernel, wanted, column)
    if wanted.only:
        column.plan = [(check, datapath) for check, datapath in column.plan if (check.name, datapath) in column.results]
    return column


def _own_root(kernel: Kernel, wanted: Wanted, column: matrix.Column) -> None:
    boot = f"{wanted.repository}/tests/Kernels/guest/boot"
    _boot(kernel, Path("/"), wanted.out / kernel.release, boot, wanted.parameters(kernel), LIMIT_QUICK if wanted.quick else LIMIT_WHOLE, column)


def _systemd(kernel: Kernel, wanted: Wanted, column: matrix.Column) -> None:
    if wanted.agent.with_name(wanted.agent.name + ".dll").exists():
        return column.skip((*checks.FOR_UNIT, *checks.FOR_PACKAGE), f"{wanted.agent} is not one executable: it needs the .NET runtime, which a Debian root lacks")
    try:
        root = debian_root.get(wanted.cache)
    except Unavailable as why:
        return column.skip((*checks.FOR_UNIT, *checks.FOR_PACKAGE), str(why))
    host = "/mnt/host"
    boot = f"{host}{wanted.repository}/tests/Kernels/guest/boot-systemd"
    _boot(kernel, root, wanted.out / f"{kernel.release}-systemd", boot, wanted.parameters(kernel, host), LIMIT_SYSTEMD, column)


def _boot(kernel: Kernel, root: Path, out: Path, handover: str, parameters: dict[str, str], limit: float, column: matrix.Column) -> None:
    for _ in range(BOOTS):
        shutil.rmtree(out, ignore_errors=True)
        ended = machine.run(kernel, root, out, handover, parameters, limit)
        column.seconds += ended.seconds
        if (out / "log").exists():
            break
        # More likely the emulator's fault than the agent's, which was not there yet.
        _say_last_words(kernel, ended, "did not boot")
    column.read(out / "results")
    if ended.timed_out:
        _say_last_words(kernel, ended, "took too long")


def _say_last_words(kernel: Kernel, ended: machine.Ended, what: str) -> None:
    print(f"kernels: {kernel.release}: the machine {what}; its last words:")
    print("\n".join(f"    {line}" for line in ended.last_words()), flush=True)
