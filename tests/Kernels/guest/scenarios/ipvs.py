"""IPVS as kube-proxy sets it up: NAT, the address on a dummy interface. What it does with idle connections, and what the agent changes about it.

      client  10.80.1.2 ──── 10.80.1.1  director  10.80.2.1 ──── 10.80.2.2  server
                                 10.80.9.9 (virtual)
"""

import errno
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import checks
from guest.agent import Agent, command
from guest.bed import Bed
from guest.holder import Holder, Values
from guest.netns import Namespace, address, join, run as command_of_machine
from guest.policy import Policy
from guest.waiting import Patience, Skipped, equal, eventually, expect, settled

VIRTUAL, REAL = "10.80.9.9", "10.80.2.2"
PORT, UNMANAGED_PORT = 7000, 7001
IDLE_TIMEOUT, FIN_TIMEOUT, UDP_TIMEOUT = 6, 120, 30
WANTED = Values(True, 2, 1, 3)
PRESET = "kube-proxy-ipvs"


class Balancer:
    def __init__(self):
        if not shutil.which("ipvsadm"):
            raise Skipped("ipvsadm is not installed (package ipvsadm)")
        self.client_netns, self.director, self.server_netns = Namespace("client"), Namespace("director"), Namespace("server")
        join(self.client_netns, "eth0", self.director, "in")
        join(self.server_netns, "eth0", self.director, "out")
        address(self.client_netns, "eth0", "10.80.1.2/24")
        address(self.director, "in", "10.80.1.1/24")
        address(self.director, "out", "10.80.2.1/24")
        address(self.server_netns, "eth0", f"{REAL}/24")
        self.client_netns("ip", "route", "add", "default", "via", "10.80.1.1")
        self.server_netns("ip", "route", "add", "default", "via", "10.80.2.1")
        self.director("ip", "link", "add", "kube-ipvs0", "type", "dummy")
        address(self.director, "kube-ipvs0", f"{VIRTUAL}/32")
        self.director("sysctl", "-qw", "net.ipv4.ip_forward=1")
        command_of_machine("modprobe", "ip_vs_rr")
        self.director("ipvsadm", "--set", str(IDLE_TIMEOUT), str(FIN_TIMEOUT), str(UDP_TIMEOUT))
        for port in (PORT, UNMANAGED_PORT):
            self.director("ipvsadm", "-A", "-t", f"{VIRTUAL}:{port}", "-s", "rr")
            self.director("ipvsadm", "-a", "-t", f"{VIRTUAL}:{port}", "-r", f"{REAL}:{port}", "-m")
        self.client, self.server = Holder(self.client_netns), Holder(self.server_netns)
        self.server.ask("reading", "by-hand")
        for port in (PORT, UNMANAGED_PORT):
            self.server.listen(port)
        self._accepted = 0

    def connect(self, port: int) -> tuple[str, str]:
        """A connection, and the same at the server's end."""
        connection = self.client.connect(VIRTUAL, port)
        self._accepted += 1
        settled(lambda: int(self.server.ask("count")[1]), self._accepted, 3, "connections that the server has accepted")
        return connection, f"a{self._accepted - 1}"

    def left(self, connection: str) -> int | None:
        """Whole seconds until the balancer forgets a connection; None where it has."""
        port = int(self.client.ask("local", connection)[1])
        for line in self.director("cat", "/proc/net/ip_vs_conn").stdout.splitlines()[1:]:
            _, _, source_port, _, _, _, _, _, seconds, *_ = line.split()
            if int(source_port, 16) == port:
                return int(seconds)
        return None

    def end(self) -> None:
        for each in (self.client, self.server):
            each.stop()
        for each in (self.client_netns, self.server_netns, self.director):
            each.delete()


def run(bed: Bed) -> None:
    balancer = None
    try:
        with bed.check(checks.IPVS_TIMEOUT):
            balancer = Balancer()
            _measure_timeout(bed, balancer)
        with bed.check(checks.IPVS_CLASS):
            _require(balancer)
            _measure_class(bed, balancer)
        with bed.check(checks.IPVS_REFRESH):
            _require(balancer)
            _measure_refresh(bed, balancer)
        with bed.check(checks.IPVS_AGENT):
            _require(balancer)
            _keep(bed, balancer)
    finally:
        if balancer:
            balancer.end()


def _require(balancer: Balancer | None) -> None:
    if balancer is None:
        raise Skipped("there is no balancer, see above")


def _forgotten(balancer: Balancer, connection: str) -> float:
    """Waits until it is; how long that took."""
    begun = time.monotonic()
    eventually(lambda: balancer.left(connection) is None, 3 * IDLE_TIMEOUT, "the balancer has not forgotten the connection")
    return time.monotonic() - begun


def _measure_timeout(bed: Bed, balancer: Balancer) -> None:
    connection, _ = balancer.connect(PORT)
    balancer.client.ask("send", connection, 100)
    took = _forgotten(balancer, connection)
    bed.note(f"--set {IDLE_TIMEOUT} {FIN_TIMEOUT} {UDP_TIMEOUT}: forgotten {took:.1f} s after the last packet")
    expect(IDLE_TIMEOUT - 0.3 < took < IDLE_TIMEOUT * 1.13 + Patience.factor, f"forgotten after {took:.1f} s, not {IDLE_TIMEOUT} s")
    listed = re.search(r"Timeout \(tcp tcpfin udp\): (\d+) (\d+) (\d+)", balancer.director("ipvsadm", "-L", "--timeout").stdout).groups()
    equal(tuple(map(int, listed)), (IDLE_TIMEOUT, FIN_TIMEOUT, UDP_TIMEOUT), "ipvsadm -L --timeout")
    # A namespace has the kernel's own values until somebody sets others: those are the preset's.
    fresh = Namespace("fresh")
    own = re.search(r"Timeout \(tcp tcpfin udp\): (\d+)", fresh("ipvsadm", "-L", "--timeout").stdout).group(1)
    fresh.delete()
    bed.note(f"without --set: {own} s")
    preset = command("check", str(_policy().path), "--balancer", PRESET)
    expect(f"through {PRESET}, idle timeout {own}s:" in preset.stdout, f"the preset says otherwise: {preset.stdout}")


def _measure_class(bed: Bed, balancer: Balancer) -> None:
    """reset-on-next-packet: nobody hears of the end, and who sends next is answered with a reset, the other end is not told."""
    for sender in ("client", "server"):
        connection, accepted = balancer.connect(PORT)
        _forgotten(balancer, connection)
        ends = {"client": (balancer.client, connection), "server": (balancer.server, accepted)}
        holder, name = ends.pop(sender)
        ((other, (other_holder, other_name)),) = ends.items()
        equal((holder.error(name), other_holder.error(other_name)), (0, 0), "errors when it has just been forgotten")
        holder.ask("send", name, 100)
        settled(lambda: holder.error(name), errno.ECONNRESET, 3, f"error of the {sender}, who sends next")
        equal(other_holder.error(other_name), 0, f"error of the {other}, who does not")
    bed.note("silent at its end; a reset to the client or the server, whichever sends next, and none to the other")


def _measure_refresh(bed: Bed, balancer: Balancer) -> None:
    """any packet: payload and acknowledgements alone, of either end, and a probe without an answer."""
    def probe(holder: Holder, connection: str) -> None:
        for option, value in (("intvl", 30), ("keepalive", 1), ("idle", 1)):
            holder.ask("set", connection, option, value)

    def unanswered(holder: Holder, connection: str) -> None:
        balancer.server_netns("ip", "route", "add", "blackhole", "10.80.1.2/32")
        probe(holder, connection)

    ends: dict[str, Callable[[str, str], None]] = {
        "payload of the client": lambda ours, theirs: balancer.client.ask("send", ours, 100) and None,
        "payload of the server": lambda ours, theirs: balancer.server.ask("send", theirs, 100) and None,
        "a probe of the client": lambda ours, theirs: probe(balancer.client, ours),
        "a probe of the server": lambda ours, theirs: probe(balancer.server, theirs),
        "a probe of the client, unanswered": lambda ours, theirs: unanswered(balancer.client, ours),
    }
    for what, send in ends.items():
        connection, accepted = balancer.connect(PORT)
        eventually(lambda: balancer.left(connection) <= IDLE_TIMEOUT // 2, IDLE_TIMEOUT, "the clock does not run")
        send(connection, accepted)
        eventually(lambda: (balancer.left(connection) or 0) > IDLE_TIMEOUT // 2 + 1, 1.5, f"{what} has not restarted the clock")
        balancer.client.ask("abort", connection)
    balancer.server_netns("ip", "route", "delete", "blackhole", "10.80.1.2/32")
    bed.note(f"the clock is restarted by {', '.join(ends)}")


def _policy() -> Policy:
    return Policy(Path("/run/ipvs.yaml")).add("far", WANTED, VIRTUAL, port=PORT)


def _keep(bed: Bed, balancer: Balancer) -> None:
    """Of two connections that are idle for three timeouts, the one of the policy goes on, as check has said."""
    policy = _policy()
    says = command("check", str(policy.path), "--balancer", PRESET, "--idle-timeout", f"{IDLE_TIMEOUT}s").stdout
    verdict = re.search(rf"through {PRESET}, .*", says).group(0)
    bed.note(f"check: {verdict}")
    expect(": kept," in verdict, verdict)
    other, _ = balancer.connect(UNMANAGED_PORT)
    with Agent(policy, "auto", more=("--netns", balancer.client_netns.path)) as agent:
        connection, _ = balancer.connect(PORT)
        agent.start()
        settled(lambda: str(balancer.client.values(connection)), str(WANTED), 5, "values")
        time.sleep(3 * IDLE_TIMEOUT)
    expect(balancer.left(connection), "the connection of the policy is forgotten")
    balancer.client.ask("send", connection, 100)
    time.sleep(1)
    equal(balancer.client.error(connection), 0, "error of the connection of the policy")
