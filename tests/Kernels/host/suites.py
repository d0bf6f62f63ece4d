"""Debian's kernel packages in other suites than this machine's, through the mirror that its own apt uses.

The package lists live in a state directory of their own: nothing that apt knows of this machine changes. Signatures are checked by apt
against Debian's keyring.
"""

import functools
import json
import re
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LISTS_STAY_FRESH = 24 * 3600

# Label of the archive, suite. Later stable releases' backports may be added; a suite that a mirror lacks is passed over.
SUITES = (
    ("Debian-Security", "bullseye-security"),
    ("Debian-Security", "bookworm-security"),
    ("Debian-Security", "trixie-security"),
    ("Debian", "trixie-backports"),
    ("Debian", "unstable"),
    ("Debian", "experimental"),
)

# linux-image has everything up to Linux 6.18; from 6.19 on the image is in linux-binary and the modules are in linux-modules.
_PACKAGE = re.compile(r"^linux-(image|binary|modules)-(\d+\.\d+\S*-amd64)(?:-unsigned)?$")
_OTHER_FLAVOURS = re.compile(r"-(rt|cloud|16k)-amd64$")
_SMALLEST_IMAGE = 1_000_000  # metapackages are smaller


class Unavailable(Exception):
    """A kernel cannot be had, and why."""


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    size: int

    @property
    def kind(self) -> str:
        return _PACKAGE.match(self.name).group(1)

    @property
    def release(self) -> str:
        """What uname -r says."""
        return _PACKAGE.match(self.name).group(2)

    @property
    def series(self) -> tuple[int, int]:
        major, minor = re.match(r"(\d+)\.(\d+)", self.release).groups()
        return int(major), int(minor)


class Suites:
    """A private view of apt on SUITES."""

    def __init__(self, directory: Path):
        self._directory = directory
        self._options = [
            "-o", f"Dir::Etc::sourcelist={directory}/sources.list",
            "-o", "Dir::Etc::sourceparts=/dev/null",
            "-o", f"Dir::State={directory}",
            "-o", f"Dir::State::lists={directory}/lists",
            "-o", "Dir::State::status=/dev/null",
            "-o", f"Dir::Cache={directory}/cache",
            "-o", "APT::Architecture=amd64",
            "-o", "APT::Architectures::=amd64",
            "-o", "APT::Sandbox::User=root",
            "-o", "APT::Update::Post-Invoke-Success::=true",
            "-o", "Acquire::Languages=none",
            "-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
            "-o", "Acquire::Retries=3",
        ]

    def refresh(self) -> None:
        """Brings the lists up to date, at most once a day."""
        stamp = self._directory / "refreshed"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < LISTS_STAY_FRESH:
            return
        for each in ("lists/partial", "cache/archives/partial"):
            (self._directory / each).mkdir(parents=True, exist_ok=True)
        (self._directory / "sources.list").write_text("".join(f"{line}\n" for line in self._sources()))
        updated = self._apt("apt-get", "-q", "update")
        if updated.returncode != 0 and not self._indexes():
            raise Unavailable(f"apt-get update failed: {updated.stderr.strip().splitlines()[-1:]}")
        for line in updated.stderr.splitlines():
            print(f"kernels: {line}")
        (self._directory / "candidates.json").write_text(json.dumps([asdict(package) for package in self._read_indexes()], indent=0))
        stamp.touch()

    def candidates(self) -> list[Package]:
        """All kernel packages that are known."""
        return [Package(**known) for known in json.loads((self._directory / "candidates.json").read_text())]

    def newest(self, series: tuple[int, int] | None) -> list[Package]:
        """The packages of the newest kernel, or of the newest of a series: one or two, the image first."""
        candidates = self.candidates()
        images = [
            package for package in candidates
            if package.kind != "modules" and package.size > _SMALLEST_IMAGE and series in (None, package.series)
        ]
        if not images:
            raise Unavailable(f"no suite of the mirror has a kernel {'.'.join(map(str, series)) if series else 'package'}")
        image = max(images, key=functools.cmp_to_key(_compare))
        if image.kind == "image":
            return [image]
        modules = [p for p in candidates if p.kind == "modules" and (p.release, p.version) == (image.release, image.version)]
        if not modules:
            raise Unavailable(f"{image.name} {image.version} has no linux-modules package beside it")
        return [image, modules[0]]

    def download(self, package: Package, into: Path) -> Path:
        """Fetches a package; what apt verified is not fetched again, and a partial file is continued."""
        into.mkdir(parents=True, exist_ok=True)
        fetched = self._apt("apt-get", "-q", "download", f"{package.name}={package.version}", cwd=into)
        files = list(into.glob(f"{package.name}_*.deb"))
        if fetched.returncode != 0 or not files:
            raise Unavailable(f"{package.name} could not be fetched: {fetched.stderr.strip() or fetched.stdout.strip()}")
        return files[0]

    def _apt(self, program: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
        return subprocess.run([program, *self._options, *arguments], capture_output=True, text=True, cwd=cwd, check=False)

    def _indexes(self) -> list[str]:
        listed = self._apt("apt-get", "indextargets", "--format", "$(FILENAME)", "Created-By: Packages")
        return [line for line in listed.stdout.splitlines() if line]

    def _read_indexes(self) -> set[Package]:
        found = set()
        for index in self._indexes():
            text = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", index], capture_output=True, text=True, check=True).stdout
            for stanza in text.split("\n\n"):
                if not stanza.startswith("Package: linux-"):
                    continue
                fields = dict(re.findall(r"^(Package|Version|Size): (\S+)$", stanza, re.MULTILINE))
                name = fields["Package"]
                if _PACKAGE.match(name) and not _OTHER_FLAVOURS.search(name.removesuffix("-unsigned")):
                    found.add(Package(name, fields["Version"], int(fields["Size"])))
        return found

    @staticmethod
    def _sources() -> list[str]:
        """SUITES as lines of a source list, each at the place where this machine gets that archive."""
        known = places()
        return [f"deb [signed-by={KEYRING}] {known[label]} {suite} main" for label, suite in SUITES if label in known]


def places() -> dict[str, str]:
    """Where this machine's apt gets Debian's archives, by their label."""
    if not KEYRING.exists():
        raise Unavailable(f"{KEYRING} is missing (package debian-archive-keyring)")
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(LABEL)\t$(REPO_URI)", "Created-By: Packages", "Origin: Debian"],
        capture_output=True, text=True, check=False)
    found = dict(line.split("\t") for line in listed.stdout.splitlines())
    if not found:
        raise Unavailable("apt has no Debian archive among its sources, or no lists yet (apt-get update)")
    return found


def _compare(one: Package, other: Package) -> int:
    """As a version compares; of the same the signed image, which is what machines run, is preferred."""
    for operator, result in (("gt", 1), ("lt", -1)):
        if subprocess.run(["dpkg", "--compare-versions", one.version, operator, other.version], check=False).returncode == 0:
            return result
    return other.name.endswith("-unsigned") - one.name.endswith("-unsigned")
