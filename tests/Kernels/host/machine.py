"""One virtual machine."""

import os
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from host import initramfs
from host.cache import Kernel

MEMORY = "3G"
PROCESSORS = 2


@dataclass(frozen=True)
class Ended:
    seconds: float
    console: Path
    timed_out: bool

    def last_words(self, lines: int = 8) -> list[str]:
        return self.console.read_text(errors="replace").strip().splitlines()[-lines:]


def accelerator() -> list[str]:
    """KVM where the processor can: a /dev/kvm without its features lets guests hang. Emulated page walks of five levels are slow."""
    flags = Path("/proc/cpuinfo").read_text().split()
    if os.access("/dev/kvm", os.R_OK | os.W_OK) and ("vmx" in flags or "svm" in flags):
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off"]


def run(kernel: Kernel, root: Path, out: Path, handover: str, parameters: dict[str, str], limit: float) -> Ended:
    """Boots a kernel on a root directory, which it cannot change, and waits for the end.

    handover -- the program of that root that becomes PID 1
    out -- where it writes, /mnt/out in the machine; the whole host is at /mnt/host
    """
    out.mkdir(parents=True, exist_ok=True)
    words = {"HANDOVER": handover, **parameters}
    (out / "parameters").write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in words.items()))
    image = out / "initramfs"
    initramfs.build(kernel, image)
    console = out / "console"
    command = [
        "setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", *accelerator(), "-m", MEMORY, "-smp", str(PROCESSORS),
        "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio",
        "-kernel", str(kernel.image), "-initrd", str(image),
        *_share(root, "root", writable=False), *_share(Path("/"), "host", writable=False), *_share(out, "out", writable=True),
        "-append", "console=ttyS0 panic=-1 quiet loglevel=3",
    ]
    begun = time.monotonic()
    with console.open("wb") as log:
        machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            machine.wait(timeout=limit)
            timed_out = False
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            machine.kill()
            machine.wait()
    image.unlink()
    return Ended(time.monotonic() - begun, console, timed_out)


def _share(directory: Path, tag: str, *, writable: bool) -> list[str]:
    # A comma ends a value; two are one.
    path = str(directory).replace(",", ",,")
    return ["-virtfs", f"local,path={path},mount_tag={tag},security_model=none,multidevs=remap{'' if writable else ',readonly=on'}"]
