"""Unpacked kernels, kept outside the repository: RELEASE/boot/vmlinuz-RELEASE and RELEASE/lib/modules/RELEASE."""

import fcntl
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from host.suites import Package, Suites, Unavailable


@dataclass(frozen=True)
class Kernel:
    release: str
    directory: Path
    package: str

    @property
    def image(self) -> Path:
        return self.directory / "boot" / f"vmlinuz-{self.release}"

    @property
    def series(self) -> tuple[int, int]:
        return series_of(self.release)


def series_of(text: str) -> tuple[int, int]:
    major, minor = re.match(r"(\d+)\.(\d+)", text).groups()
    return int(major), int(minor)


def default_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "keepalive" / "kernels"


class Cache:
    def __init__(self, directory: Path):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._suites = Suites(directory / "apt")

    def lock(self):
        """Waits until no other run uses this cache. The lock lasts as long as what is returned."""
        held = (self.directory / "lock").open("w")
        fcntl.flock(held, fcntl.LOCK_EX)
        return held

    def get(self, wanted: str) -> Kernel:
        """A series (6.1), or the newest kernel there is (newest). Without a mirror the newest of those kept will do."""
        series = None if wanted == "newest" else series_of(wanted)
        try:
            self._suites.refresh()
            return self._unpack(self._suites.newest(series))
        except Unavailable as why:
            kept = self._kept(series)
            if kept is None:
                raise
            print(f"kernels: {why}; using {kept.release}, fetched earlier")
            return kept

    def _kept(self, series: tuple[int, int] | None) -> Kernel | None:
        kept = [self._kernel(note.parent) for note in self.directory.glob("*/package")]
        fitting = [kernel for kernel in kept if series in (None, kernel.series)]
        return max(fitting, key=lambda kernel: [int(n) for n in re.findall(r"\d+", kernel.release)], default=None)

    @staticmethod
    def _kernel(directory: Path) -> Kernel:
        return Kernel(directory.name, directory, (directory / "package").read_text().strip())

    def _unpack(self, packages: list[Package]) -> Kernel:
        image = packages[0]
        directory = self.directory / image.release
        note = f"{image.name} {image.version}"
        if (directory / "package").exists() and (directory / "package").read_text().strip() == note:
            return self._kernel(directory)
        print(f"kernels: fetching {note} ({sum(p.size for p in packages) / 1e6:.0f} MB)", flush=True)
        fetched = [self._suites.download(package, self.directory / "packages") for package in packages]

        # Under another name until it is whole: a run that is interrupted here leaves nothing that looks like a kernel.
        partial = self.directory / f".{image.release}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        for file in fetched:
            subprocess.run(["dpkg-deb", "--extract", file, partial], check=True)
        self._arrange(partial, image.release)
        (partial / "package").write_text(note + "\n")
        shutil.rmtree(directory, ignore_errors=True)
        partial.rename(directory)
        for file in fetched:
            file.unlink()
        kernel = self._kernel(directory)
        for older in self.directory.glob("*/package"):
            if older.parent != directory and series_of(older.parent.name) == kernel.series:
                shutil.rmtree(older.parent)
        return kernel

    @staticmethod
    def _arrange(root: Path, release: str) -> None:
        """Brings all packages' layouts into one, and writes the modules' dependencies."""
        modules = root / "lib" / "modules"
        if not modules.exists():
            modules.parent.mkdir(exist_ok=True)
            (root / "usr" / "lib" / "modules").rename(modules)
        image = root / "boot" / f"vmlinuz-{release}"
        if not image.exists():
            image.parent.mkdir(exist_ok=True)
            (modules / release / "vmlinuz").rename(image)
        shutil.rmtree(root / "usr", ignore_errors=True)
        subprocess.run(["depmod", "-b", root, release], check=True, env=os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
