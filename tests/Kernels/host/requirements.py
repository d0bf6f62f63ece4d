"""What a run needs of the host."""

import platform
import shutil
import subprocess
from pathlib import Path

# Program, Debian package.
PROGRAMS = (
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("depmod", "kmod"),
    ("modprobe", "kmod"),
    ("zstd", "zstd"),
    ("dpkg-deb", "dpkg"),
    ("apt-get", "apt"),
    ("cc", "gcc"),
    ("nsenter", "util-linux"),
    ("ip", "iproute2"),
)


def find(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def missing() -> str | None:
    """Why no machine can be started here, None where one can."""
    if platform.machine() != "x86_64":
        return f"the kernels are for x86_64, and this is {platform.machine()}"
    absent = [f"{program} (package {package})" for program, package in PROGRAMS if not find(program)]
    if absent:
        return f"not installed: {', '.join(absent)}; 'make deps-kernels' installs them"
    if subprocess.run(["ldd", find("busybox")], capture_output=True, check=False).returncode == 0:
        return "busybox is linked dynamically; busybox-static is needed"
    if not Path("/usr/bin/python3").exists():
        return "/usr/bin/python3 is missing"
    return None
