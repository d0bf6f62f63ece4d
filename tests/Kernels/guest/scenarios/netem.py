"""Links that delay and lose packets."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import checks
from guest import wheel
from guest.agent import Agent, command
from guest.bed import Bed
from guest.holder import Values
from guest.lab import FOUR, OTHER, PORT, PROBES_SENT, Lab
from guest.netns import run as command_of_machine
from guest.policy import Policy
from guest.waiting import Failed, Patience, Skipped, equal, eventually, expect, settled

PATIENT = Values(True, 2, 1, 6)
CONNECTIONS = 20
DELAY = ("delay", "100ms", "20ms")
SCHEDULES = {FOUR: Values(True, 2, 1, 3), OTHER: Values(True, 5, 3, 2)}

# What looks at the sockets does it a hundred times a second, on an emulated processor that others use too.
LOOK = 0.4
PORTS = ("to-near", "to-far")


def run(bed: Bed, datapath: str) -> None:
    with bed.check(checks.NETEM_LOSS, datapath):
        _require()
        _lose(bed, datapath)
    with bed.check(checks.NETEM_DEATH, datapath):
        _require()
        _die(bed, datapath)


def _require() -> None:
    found = command_of_machine("modprobe", "sch_netem", check=False)
    if found.returncode != 0:
        raise Skipped(f"the kernel has no netem: {found.stderr.strip()}")


def _shape(lab: Lab, *how: str) -> None:
    """Does this to TCP that passes the middle, in both directions, and nothing to ARP and the like, whose losses would count as probes'. At an end it would not
    be seen: what a queue of the node's own drops was never sent."""
    for port in PORTS:
        if _netem(lab, port) is None:
            lab.middle("tc", "qdisc", "replace", "dev", port, "root", "handle", "1:", "prio", "bands", "3", "priomap", *["0"] * 16)
            for order, protocol, match in ((1, "ip", "ip protocol"), (2, "ipv6", "ip6 protocol")):
                lab.middle(
                    "tc", "filter", "add", "dev", port, "parent", "1:", "protocol", protocol, "prio", str(order), "u32", "match", *match.split(), "6", "0xff",
                    "flowid", "1:3")
        lab.middle("tc", "qdisc", "replace", "dev", port, "parent", "1:3", "handle", "30:", "netem", *how)


def _netem(lab: Lab, port: str) -> dict | None:
    shown = json.loads(lab.middle("tc", "-s", "-json", "qdisc", "show", "dev", port).stdout)
    return next((each for each in shown if each["kind"] == "netem"), None)


def _lost(lab: Lab) -> int:
    return sum(_netem(lab, port)["drops"] for port in PORTS)


def _round_trips(agent: Agent) -> tuple[float, float]:
    """How long they have taken together, and how many there were."""
    return agent.metric("keepalive_probe_rtt_seconds_sum"), agent.metric("keepalive_probe_rtt_seconds_count")


def _lose(bed: Bed, datapath: str) -> None:
    """A tenth of all packets is lost on their way: no connection dies, and for each lost packet a probe is counted as unanswered."""
    policy = Policy(Path("/run/loss.yaml")).add("far", PATIENT, FOUR)
    with Lab("loss", bridged=True) as lab, Agent(policy, datapath) as agent:
        agent.start()
        connections = [lab.client.connect(FOUR, PORT) for _ in range(CONNECTIONS)]
        settled(lambda: agent.metric("keepalive_sockets", state="managed"), float(CONNECTIONS), 5, 'keepalive_sockets{state="managed"}')
        before = _round_trips(agent)
        _shape(lab, *DELAY, "loss", "5%")
        time.sleep(15)
        _shape(lab, *DELAY, "loss", "0%")
        lost = _lost(lab)
        # The successors of the last ones that were lost are answered by then.
        time.sleep(2 * PATIENT.interval + 1)
        equal({lab.client.error(each) for each in connections}, {0}, "errors")
        equal(agent.metric("keepalive_connections_dead_total"), 0.0, "keepalive_connections_dead_total")
        lab.client.close_all()
        sent = lab.near.counter(PROBES_SENT)
        settled(lambda: agent.metric("keepalive_probes_total"), float(sent), 5, "keepalive_probes_total")
        unanswered = agent.metric("keepalive_probes_unanswered_total")
        taken, replies = (after - earlier for after, earlier in zip(_round_trips(agent), before))
        round_trip = taken / replies
        bed.note(
            f"{sent} probes, {lost} packets lost on their way, {unanswered:.0f} probes counted as unanswered, {round_trip * 1000:.0f} ms from a probe to its reply, "
            f"no connection of {CONNECTIONS} dead")
        expect(lost > 0, "nothing was lost")
        equal(unanswered, float(lost), "keepalive_probes_unanswered_total")
        expect(0.15 < round_trip < 0.35, f"{round_trip:.3f} s from a probe to its reply")


def _die(bed: Bed, datapath: str) -> None:
    """The link is cut: each connection ends when the schedule says, counted from the last packet that it heard."""
    policy = Policy(Path("/run/death.yaml"))
    for i, (to, values) in enumerate(SCHEDULES.items()):
        policy.add(f"far-{i}", values, to)
    with Lab("death", bridged=True) as lab, Agent(policy, datapath) as agent:
        _shape(lab, *DELAY)
        agent.start()
        program = [sys.executable, str(Path(__file__).parent.parent / "deaths.py"), str(CONNECTIONS // 2), *SCHEDULES, str(PORT)]
        watcher = lab.near.start(program, stdout=subprocess.PIPE, text=True)
        try:
            equal(watcher.stdout.readline().strip(), "ready", "the connections")
            settled(lambda: agent.metric("keepalive_sockets", state="managed"), float(CONNECTIONS), 5, 'keepalive_sockets{state="managed"}')
            eventually(lambda: agent.metric("keepalive_probe_replies_total") >= CONNECTIONS, 15, "probes and replies")
            _shape(lab, "loss", "100%")
            ended = json.loads(watcher.stdout.readline() or "[]")
        finally:
            watcher.kill()
            watcher.wait()
    hz = wheel.ticks_per_second()
    for to, values in SCHEDULES.items():
        _compare(bed, policy, to, values, [(seconds, error) for address, seconds, error in ended if address == to], hz)


def _compare(bed: Bed, policy: Policy, to: str, values: Values, deaths: list[tuple[float, str]], hz: int) -> None:
    equal([error for _, error in deaths], ["ETIMEDOUT"] * (CONNECTIONS // 2), f"ends of the connections to {to}")
    first, last = min(seconds for seconds, _ in deaths), max(seconds for seconds, _ in deaths)
    nominal = values.time + values.probes * values.interval
    late = wheel.latest_death(values.time, values.interval, values.probes, hz)
    explained = command("explain", str(policy.path), "--to", f"{to}:{PORT}").stdout
    said = re.search(r"noticed (\d+)s after its last packet, at the latest (\d+)s", explained)
    if said is None:
        raise Failed(f"explain says nothing of a dead peer: {explained}")
    bed.note(
        f"{values.time}s/{values.interval}s/{values.probes}: {len(deaths)} ends {first:.2f} to {last:.2f} s after the last packet; by the timer wheel at HZ={hz} "
        f"{nominal} to {late:.2f} s, explain says {said.group(1)} s, at the latest {said.group(2)} s")
    equal(int(said.group(1)), nominal, "what explain says of a dead peer")
    expect(nominal - 0.05 <= first and last <= late + LOOK * Patience.factor, f"ends after {first:.2f} to {last:.2f} s, the schedule says {nominal} to {late:.2f} s")
    expect(late <= int(said.group(2)), f"explain says at the latest {said.group(2)} s, the timer wheel allows {late:.2f} s")
