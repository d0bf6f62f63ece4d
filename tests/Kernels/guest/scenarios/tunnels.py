"""Connections through tunnels: Geneve has Ethernet frames, WireGuard IP packets without a link layer, and both are captured."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import checks
from guest.agent import Agent
from guest.bed import Bed
from guest.holder import Values
from guest.lab import FOUR, NEAR, PORT, PROBES_SENT, Lab
from guest.netns import address, run as command_of_machine
from guest.policy import Policy
from guest.waiting import Skipped, equal, expect, settled

WANTED = Values(True, 2, 1, 3)
WIREGUARD_PORT = 51820


def run(bed: Bed, datapath: str) -> None:
    for check, make in ((checks.GENEVE, _geneve), (checks.WIREGUARD, _wireguard)):
        with bed.check(check, datapath), Lab("tunnel") as lab:
            _carry(bed, datapath, lab, make)


def _carry(bed: Bed, datapath: str, lab: Lab, make: Callable[[Lab], None]) -> None:
    make(lab)
    four, six = "10.91.0.2", "fd91::2"
    address(lab.near, "tunnel", "10.91.0.1/24", "fd91::1/64")
    address(lab.far, "tunnel", f"{four}/24", f"{six}/64")
    for namespace in (lab.near, lab.far):
        namespace("ip", "link", "set", "tunnel", "up")
    policy = Policy(Path("/run/tunnel.yaml")).add("far", WANTED, four, six)
    before = {to: lab.client.connect(to, PORT) for to in (four, six)}
    with Agent(policy, datapath) as agent:
        agent.start()
        after = {to: lab.client.connect(to, PORT) for to in (four, six)}
        for connections in (before, after):
            settled(lambda: lab.values(connections), {to: str(WANTED) for to in connections}, 5, "values")
        time.sleep(5)
        lab.client.close_all()
        sent = lab.near.counter(PROBES_SENT)
        expect(sent >= 8, f"the kernel has sent {sent} probes only")
        settled(lambda: agent.metric("keepalive_probes_total"), float(sent), 5, "keepalive_probes_total")
        settled(lambda: agent.metric("keepalive_probe_replies_total"), float(sent), 5, "keepalive_probe_replies_total")
        rtt = agent.metric("keepalive_probe_rtt_seconds_count")
        equal(rtt, float(sent), "keepalive_probe_rtt_seconds_count: replies that were captured")
        bed.note(f"{sent} probes of IPv4 and IPv6 connections captured with their replies")


def _geneve(lab: Lab) -> None:
    _module("geneve")
    for namespace, other in ((lab.near, FOUR), (lab.far, NEAR)):
        namespace("ip", "link", "add", "tunnel", "type", "geneve", "id", "7", "remote", other)


def _wireguard(lab: Lab) -> None:
    if not shutil.which("wg"):
        raise Skipped("wg is not installed (package wireguard-tools)")
    _module("wireguard")
    keys = []
    for namespace in (lab.near, lab.far):
        namespace("ip", "link", "add", "tunnel", "type", "wireguard")
        private = Path(f"/run/{namespace.name}.key")
        private.write_text(command_of_machine("wg", "genkey").stdout)
        namespace("wg", "set", "tunnel", "listen-port", str(WIREGUARD_PORT), "private-key", str(private))
        keys.append(namespace("wg", "show", "tunnel", "public-key").stdout.strip())
    for namespace, key, other in ((lab.near, keys[1], FOUR), (lab.far, keys[0], NEAR)):
        namespace("wg", "set", "tunnel", "peer", key, "allowed-ips", "0.0.0.0/0,::/0", "endpoint", f"{other}:{WIREGUARD_PORT}")


def _module(name: str) -> None:
    found = command_of_machine("modprobe", name, check=False)
    if found.returncode != 0:
        raise Skipped(f"the kernel has no {name}: {found.stderr.strip()}")
