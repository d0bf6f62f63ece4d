"""What the kernel is, and what the agent says of it before anything is set."""

import json
import re
import signal
import time
from pathlib import Path

import checks
from guest import btf
from guest.agent import Agent, command
from guest.bed import Bed
from guest.holder import Values
from guest.lab import FOUR, SIX, Lab, all_of
from guest.policy import Policy
from guest.waiting import equal, expect, settled

NOBODY = "203.0.113.1"

# All the members that a kernel's keepalive and retransmission timers have been in.
TIMERS = ("icsk_retransmit_timer", "tcp_retransmit_timer", "icsk_keepalive_timer", "sk_timer")
STARTS = 20


def run(bed: Bed) -> None:
    with bed.check(checks.MACHINE):
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        equal([kind for _, _, kind, *_ in mounts if kind.startswith("cgroup")], ["cgroup2"], "cgroup hierarchies")
        equal(Path("/sys/module/apparmor/parameters/enabled").read_text().strip(), "Y", "AppArmor enabled")
        bed.note(f"{bed.release()}, LSMs {Path('/sys/kernel/security/lsm').read_text().strip()}")

    support = command("support")
    features = [json.loads(line) for line in command("support", "-o", "json").stdout.splitlines()]
    policy = Policy(Path("/run/nobody.yaml")).add("nobody", Values(True, 60, 10, 3), NOBODY)

    with bed.check(checks.SUPPORT_AS_RUN), Agent(policy, "auto") as agent:
        agent.start()
        says = support.stdout.strip().splitlines()[-1]
        bed.note(f"support: {says}")
        agent.wait_for("agent[8]", 5)
        for line in agent.first_lines()[:3]:
            bed.note(f"run: {line}")
        took = re.search(r"started: datapath (\w+)", agent.log()).group(1)
        equal(re.match(r"auto takes (\w+)", says).group(1), took, "the datapath that support names")
        equal(features[-1]["auto"], took, "the datapath that support -o json names")
        if took != "bpf":
            why = re.search(r"The bpf datapath cannot be used: (.*); using pidfd", agent.log()).group(1)
            expect(why in says, f"run's reason is not support's: {why}")

    with bed.check(checks.SUPPORT_HINTS):
        for feature in features[:-1]:
            needed = re.search(r"Linux (\d+)\.(\d+)", feature["needs"] or "")
            expect(
                not needed or tuple(int(n) for n in needed.groups()) > bed.series,
                f"on {bed.release()} support says {feature['feature']}: {feature['answer']}, needs {feature['needs']} ({feature['detail']})")

    with bed.check(checks.BPF_WHERE_DUE), Agent(policy, "bpf") as agent:
        if bed.series >= checks.BPF_SINCE:
            agent.start()
            expect("started: datapath bpf" in agent.log(), agent.log())
        else:
            code = agent.launch().wait()
            bed.note(agent.log().strip())
            equal(code, 3, "exit code")
            expect(
                re.match(r"keepalive-agent: the bpf datapath cannot be used: .*needs Linux 5\.15", agent.log()),
                f"the message does not name the kernel that it takes: {agent.log().strip()}")

    if bed.quick:
        return
    with bed.check(checks.BTF_HIDDEN):
        _without_types(policy)
    if bed.series >= checks.BPF_SINCE:
        with bed.check(checks.FIELD_MOVED):
            _without_timers(bed)
        with bed.check(checks.FIELD_ESSENTIAL):
            _without_structure(bed, policy)
    with bed.check(checks.STOPPED_EARLY):
        _stop_early(bed, policy)


def _without_types(policy: Policy) -> None:
    why = "the kernel has no type information (/sys/kernel/btf/vmlinux)"
    with Agent(policy, "auto", through=btf.hidden()) as agent:
        agent.start()
        expect(f"The bpf datapath cannot be used: {why}" in agent.log() and "started: datapath pidfd" in agent.log(), agent.log())
    with Agent(policy, "bpf", through=btf.hidden()) as agent:
        equal(agent.launch().wait(), 3, "exit code of --datapath bpf")
        expect(agent.log().startswith(f"keepalive-agent: the bpf datapath cannot be used: {why}"), agent.log())


def _without_timers(bed: Bed) -> None:
    wanted = Values(True, 60, 10, 3)
    policy = Policy(Path("/run/moved.yaml")).add("far", wanted, FOUR, SIX)
    with Lab("moved") as lab, Agent(policy, "bpf", through=btf.renamed(*TIMERS)) as agent:
        before = lab.open_each_kind()
        agent.start()
        settled(lambda: lab.values(before), all_of(before, wanted), 5, "values of sockets opened before the start")
        after = lab.open_each_kind()
        equal(lab.values(after), all_of(after, wanted), "values when connect() has returned")
        support = command("support", through=btf.renamed(*TIMERS)).stdout
        for line in support.splitlines():
            if "timer" in line or line.startswith("auto"):
                bed.note(f"support: {line}")


def _without_structure(bed: Bed, policy: Policy) -> None:
    through = btf.renamed("skc_net")
    says = command("support", through=through).stdout.strip().splitlines()[-1]
    bed.note(f"support: {says}")
    expect(says.startswith("auto takes pidfd: "), says)
    expect("Linux 5.15" not in says, f"support asks for Linux 5.15 on {bed.release()}: {says}")
    with Agent(policy, "bpf", through=through) as agent:
        equal(agent.launch().wait(), 3, "exit code of --datapath bpf")
        bed.note(agent.log().strip())
        expect("Linux 5.15" not in agent.log(), f"run asks for Linux 5.15 on {bed.release()}: {agent.log().strip()}")


def _stop_early(bed: Bed, policy: Policy) -> None:
    """Stops it at instants spread over its start. Before it has a handler the signal itself ends it."""
    with Agent(policy, "pidfd") as agent:
        agent.start()
        whole = agent.started_within
        agent.stop()
    codes = []
    for i in range(STARTS):
        with Agent(policy, "pidfd") as agent:
            agent.launch()
            time.sleep(whole * (i + 1) / STARTS)
            codes.append(agent.stop())
            expect(codes[-1] in (0, -signal.SIGTERM), f"SIGTERM {whole * (i + 1) / STARTS:.2f} s after the start: exit code {codes[-1]}: {agent.log()}")
    expect(codes.count(0) > STARTS / 2 and set(codes[-STARTS // 4:]) == {0}, f"exit codes: {codes}")
    bed.note(f"{STARTS} starts of {whole:.1f} s, {codes.count(0)} ended with exit code 0, {codes.count(-signal.SIGTERM)} by the signal before they had a handler")
