"""Network namespaces of our own, and what joins them."""

import os
import subprocess
from collections.abc import Sequence


def run(*command: str, inside: "Namespace | None" = None, check: bool = True, **more: object) -> subprocess.CompletedProcess:
    """Runs a command to its end, in a namespace or in the machine's own."""
    prefix = inside.enter if inside else []
    done = subprocess.run([*prefix, *command], capture_output=True, text=True, timeout=120, **more)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}{done.stdout.strip()}")
    return done


class Namespace:
    def __init__(self, name: str):
        self.name = name
        run("ip", "netns", "add", name)
        self("ip", "link", "set", "lo", "up")

    @property
    def path(self) -> str:
        return f"/run/netns/{self.name}"

    @property
    def enter(self) -> list[str]:
        # Not ip netns exec: that one mounts another /sys.
        return ["nsenter", f"--net={self.path}"]

    def __call__(self, *command: str, **more: object) -> subprocess.CompletedProcess:
        return run(*command, inside=self, **more)

    def start(self, command: Sequence[str], **more: object) -> subprocess.Popen:
        return subprocess.Popen([*self.enter, *command], **more)

    def counter(self, name: str) -> int:
        """A counter of the kernel's under nstat's name, such as TcpExtTCPKeepAlive."""
        text = self("cat", "/proc/thread-self/net/netstat", "/proc/thread-self/net/snmp").stdout.splitlines()
        for names, values in zip(text[::2], text[1::2], strict=True):
            prefix, *columns = names.split()
            if name.startswith(prefix[:-1]) and name.removeprefix(prefix[:-1]) in columns:
                return int(values.split()[1 + columns.index(name.removeprefix(prefix[:-1]))])
        raise KeyError(name)

    def delete(self) -> None:
        if os.path.exists(self.path):
            run("ip", "netns", "delete", self.name)


def join(one: Namespace, one_device: str, other: Namespace, other_device: str) -> None:
    """A veth pair between two namespaces, up and without addresses."""
    run("ip", "link", "add", one_device, "netns", one.name, "type", "veth", "peer", "name", other_device, "netns", other.name)
    one("ip", "link", "set", one_device, "up")
    other("ip", "link", "set", other_device, "up")


def address(namespace: Namespace, device: str, *addresses: str) -> None:
    for each in addresses:
        # nodad: an IPv6 address is usable at once.
        namespace("ip", "address", "add", each, "dev", device, *(["nodad"] if ":" in each else []))
