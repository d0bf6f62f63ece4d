"""What the kernel is, and what the agent says of it before anything is set."""

import json
import re
from pathlib import Path

import checks
from guest.agent import Agent, command
from guest.bed import Bed
from guest.holder import Values
from guest.policy import Policy
from guest.waiting import equal, expect

NOBODY = "203.0.113.1"


def run(bed: Bed) -> None:
    with bed.check(checks.MACHINE):
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        equal([kind for _, _, kind, *_ in mounts if kind.startswith("cgroup")], ["cgroup2"], "cgroup hierarchies")
        equal(Path("/sys/module/apparmor/parameters/enabled").read_text().strip(), "Y", "AppArmor enabled")
        bed.note(f"{bed.release()}, LSMs {Path('/sys/kernel/security/lsm').read_text().strip()}")

    support = command("support")
    features = [json.loads(line) for line in command("support", "-o", "json").stdout.splitlines()]
    policy = Policy(Path("/run/nobody.yaml"), Values(True, 60, 10, 3), NOBODY)

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
