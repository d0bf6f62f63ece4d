"""A small initramfs: it mounts the root by 9p under an overlay in memory and hands over to a program there."""

import lzma
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from host.cache import Kernel

INIT = Path(__file__).parent / "init"
NEEDED = ("virtio_pci", "9pnet_virtio", "9p", "overlay")


def build(kernel: Kernel, output: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="keepalive-initramfs") as temporary:
        root = Path(temporary)
        for directory in ("bin", "modules", "proc", "sys", "dev", "lower", "upper", "new"):
            (root / directory).mkdir()
        shutil.copy(_busybox(), root / "bin" / "busybox")
        (root / "bin" / "sh").symlink_to("busybox")
        shutil.copy(INIT, root / "init")
        for number, module in enumerate(_modules(kernel)):
            (root / "modules" / f"{number:02}-{module.name.split('.')[0]}.ko").write_bytes(_decompressed(module))
        files = subprocess.run(["find", ".", "-print0"], cwd=root, capture_output=True, check=True).stdout
        archive = subprocess.run(
            ["cpio", "--null", "--create", "--format=newc", "--quiet"], cwd=root, input=files, capture_output=True, check=True).stdout
        output.write_bytes(archive)


def _busybox() -> str:
    """The statically linked one: there are no libraries beside it."""
    return shutil.which("busybox") or "/bin/busybox"


def _modules(kernel: Kernel) -> list[Path]:
    """NEEDED and what they depend on, in the order of loading. What the kernel has built in is not a file; packages of newer kernels have no list of it, and
    to modprobe it is not there at all. Without one that is really missing the machine says so, when it looks for its root."""
    ordered = {}
    for name in NEEDED:
        shown = subprocess.run(
            ["modprobe", "--dirname", kernel.directory, "--set-version", kernel.release, "--show-depends", name],
            capture_output=True, text=True, check=False, env=os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})
        for line in shown.stdout.splitlines():
            kind, _, path = line.partition(" ")
            if kind == "insmod":
                ordered[Path(path.strip())] = None
    return list(ordered)


def _decompressed(module: Path) -> bytes:
    if module.suffix == ".xz":
        return lzma.decompress(module.read_bytes())
    if module.suffix == ".zst":
        return subprocess.run(["zstd", "-dcq", module], capture_output=True, check=True).stdout
    return module.read_bytes()
