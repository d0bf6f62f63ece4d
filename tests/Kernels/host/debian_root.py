"""A small Debian root with a systemd of its own, kept beside the kernels."""

import os
import shutil
import subprocess
from pathlib import Path

from host.suites import KEYRING, Unavailable, places

# iproute2 and the rest are what the checks use; libpcap and libbpf what an agent that is linked with the system's uses.
PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "iproute2", "procps", "kmod", "libpcap0.8", "libbpf1")
SIZE = "1g"


def get(cache: Path) -> Path:
    """The root of this machine's own release: what is built here runs there."""
    release = _release()
    root = cache / f"root-{release}"
    note = " ".join(PACKAGES)
    if (root / "packages").exists() and (root / "packages").read_text().strip() == note:
        return root
    if os.geteuid() != 0:
        raise Unavailable("making a Debian root takes root's rights")
    if not (debootstrap := shutil.which("debootstrap", path="/usr/sbin:/sbin:" + os.environ["PATH"])):
        raise Unavailable("debootstrap is not installed (package debootstrap)")
    mirror = places().get("Debian")
    if mirror is None:
        raise Unavailable("apt has no Debian archive among its sources")
    print(f"kernels: making a root of {release}; this takes some minutes once", flush=True)
    partial = cache / f".root-{release}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    # In memory first: dpkg waits for the disk after each file. The mount goes with the command's namespace.
    script = f'mount -t tmpfs -o size={SIZE},mode=755 root /mnt && "$1" --variant=minbase --keyring="$2" --include="$3" "$4" /mnt "$5" && rm -rf /mnt/var/cache/apt/* && cp -a /mnt/. "$6"'
    made = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", debootstrap, KEYRING, ",".join(PACKAGES), release, mirror, partial],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise Unavailable(f"debootstrap failed: {(made.stdout + made.stderr).strip().splitlines()[-1:]}")
    (partial / "packages").write_text(note + "\n")
    shutil.rmtree(root, ignore_errors=True)
    partial.rename(root)
    return root


def _release() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        name, _, value = line.partition("=")
        if name == "VERSION_CODENAME":
            return value.strip('"')
    raise Unavailable("/etc/os-release names no release of Debian")
