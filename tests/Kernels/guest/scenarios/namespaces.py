"""Two namespaces with the same addresses and connections between the same ports: only the one that was asked for is touched."""

from pathlib import Path

import checks
from guest.agent import Agent
from guest.bed import Bed
from guest.holder import Values
from guest.lab import FOUR, PORT, Lab
from guest.policy import Policy
from guest.waiting import equal, settled

WANTED = Values(True, 60, 10, 3)
SOURCE_PORT = 40000


def run(bed: Bed, datapath: str) -> None:
    with bed.check(checks.NAMESPACES, datapath), Lab("one") as one, Lab("two") as other:
        policy = Policy(Path("/run/namespaces.yaml")).add("far", WANTED, FOUR)
        before = _dial(one, other, SOURCE_PORT)
        with Agent(policy, datapath, more=("--netns", one.near.path)) as agent:
            agent.start()
            settled(lambda: str(one.client.values(before)), str(WANTED), 5, "values in the namespace asked for")
            after = _dial(one, other, SOURCE_PORT + 1)
            settled(lambda: str(one.client.values(after)), str(WANTED), 5, "values of a new connection in the namespace asked for")
            settled(lambda: agent.metric("keepalive_sockets", state="managed"), 2.0, 5, 'keepalive_sockets{state="managed"}')
            equal([str(other.client.values(each)) for each in (before, after)], [str(Values.UNTOUCHED)] * 2, "values in the other namespace")
            equal(agent.stop(), 0, "exit code")
        equal([str(one.client.values(each)) for each in (before, after)], [str(Values.UNTOUCHED)] * 2, "values after the end")


def _dial(one: Lab, other: Lab, source_port: int) -> str:
    """The same connection in both; its name is the same, too."""
    names = {lab.client.ask("dial", FOUR, PORT, source_port, 0)[0] for lab in (one, other)}
    (name,) = names
    return name
