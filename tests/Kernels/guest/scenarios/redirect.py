"""Beside a program at cgroup/connect4 that sends a service's connections to a backend (beds/redirect.bpf.c).

Which address does a policy have to name? The backend's: it is what the socket has, whoever asks for it.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import checks
from guest.agent import Agent
from guest.bed import Bed
from guest.holder import Values
from guest.lab import FOUR, PORT, Lab
from guest.netns import run as command_of_machine
from guest.policy import Policy
from guest.waiting import Skipped, equal, expect, settled

SERVICE, BACKEND = "10.99.0.1", FOUR
OF_SERVICE, OF_BACKEND = Values(True, 60, 10, 3), Values(True, 50, 10, 4)
CGROUP, PIN = "/sys/fs/cgroup", "/sys/fs/bpf/redirect"


def run(bed: Bed, datapath: str) -> None:
    for check, agent_first in ((checks.REDIRECT_BEFORE, False), (checks.REDIRECT_AFTER, True)):
        with bed.check(check, datapath), Lab("redirect") as lab:
            policy = Policy(Path("/run/redirect.yaml")).add("service", OF_SERVICE, SERVICE).add("backend", OF_BACKEND, BACKEND)
            if agent_first:
                with Agent(policy, datapath).start() as agent, _redirected(bed):
                    _connect(bed, lab, agent)
            else:
                with _redirected(bed), Agent(policy, datapath).start() as agent:
                    _connect(bed, lab, agent)


def _connect(bed: Bed, lab: Lab, agent: Agent) -> None:
    connection = lab.client.connect(SERVICE, PORT)
    at_once = lab.client.values(connection)
    if agent.datapath == "bpf":
        equal(str(at_once), str(OF_BACKEND), "values when connect() has returned")
    settled(lambda: str(lab.client.values(connection)), str(OF_BACKEND), 5, "values")
    seen = lab.near("ss", "-tnH", "state", "established").stdout
    expect(f"{BACKEND}:{PORT}" in seen and SERVICE not in seen, f"ss shows another destination: {seen}")
    bed.note(f"connect() to {SERVICE}: ss shows {BACKEND}, and the policy of {BACKEND} counts")
    if agent.datapath == "bpf":
        # Before Linux 5.15 bpftool asks for kinds of programs that the kernel does not know, and shows none.
        attached = command_of_machine("bpftool", "cgroup", "show", CGROUP).stdout
        expect("redirect" in attached, f"the other program is not attached: {attached}")
        expect("sock_ops" in attached, f"the agent's program is not attached: {attached}")


@contextmanager
def _redirected(bed: Bed) -> Iterator[None]:
    program = bed.built / "redirect.bpf.o"
    if not shutil.which("bpftool"):
        raise Skipped("bpftool is not installed (package bpftool)")
    if not program.exists():
        raise Skipped("the program was not compiled: no clang, or no headers of libbpf, on the host")
    command_of_machine("bpftool", "prog", "load", str(program), PIN, "type", "cgroup/connect4")
    command_of_machine("bpftool", "cgroup", "attach", CGROUP, "connect4", "pinned", PIN, "multi")
    try:
        yield
    finally:
        command_of_machine("bpftool", "cgroup", "detach", CGROUP, "connect4", "pinned", PIN)
        Path(PIN).unlink()
