"""The checks there are, in the order of the table, and for which kernels and datapaths each counts."""

from collections.abc import Callable
from dataclasses import dataclass

Series = tuple[int, int]

BPF_SINCE = (5, 15)


def everywhere(_: Series) -> bool:
    return True


@dataclass(frozen=True)
class Check:
    name: str
    quick: bool = False
    applies: Callable[[Series], bool] = everywhere


# Once for each kernel.
MACHINE = Check("cgroup v2 alone, AppArmor on", quick=True)
SUPPORT_AS_RUN = Check("support says what run takes", quick=True)
SUPPORT_HINTS = Check("support asks for no kernel older than this one", quick=True)
BPF_WHERE_DUE = Check("bpf: required since 5.15, before that exit 3", quick=True)
BTF_HIDDEN = Check("without BTF: auto takes pidfd, bpf exits 3")
FIELD_MOVED = Check("a field that has moved costs its column alone", applies=lambda kernel: kernel >= BPF_SINCE)
FIELD_ESSENTIAL = Check("an unknown structure is not taken for an old kernel", applies=lambda kernel: kernel >= BPF_SINCE)
STOPPED_EARLY = Check("SIGTERM while starting exits 0")
IPVS_TIMEOUT = Check("IPVS: idle timeout")
IPVS_CLASS = Check("IPVS: what comes after it")
IPVS_REFRESH = Check("IPVS: what restarts the clock")
IPVS_AGENT = Check("IPVS: the agent keeps a connection known")
IPVS_BACKENDS = Check("IPVS: a dead backend is out, its Service is in")

# On a Debian root with a systemd of its own, in another machine with the same kernel.
UNIT_START = Check("systemd: start and ready")
UNIT_SANDBOX = Check("systemd: sandbox")
UNIT_RELOAD = Check("systemd: reload")
UNIT_WATCHDOG = Check("systemd: watchdog")
UNIT_STOP = Check("systemd: stop, and the state that stays")
UNIT_OPTIONS = Check("systemd: wrong options fail once, right ones count")
# The same machine, with --package.
PACKAGE_INSTALL = Check("package: starts nothing without a policy")
PACKAGE_UPGRADE = Check("package: an upgrade takes over")
PACKAGE_PURGE = Check("package: purge stops and removes all")

# Once for each datapath of each kernel.
ONCE = Check("run --once sets a socket", quick=True)
BEFORE = Check("sockets opened before the start", quick=True)
AFTER = Check("sockets opened after the start", quick=True)
PROBES = Check("probes: as many as the kernel counts", quick=True)
RESTORE = Check("SIGTERM restores", quick=True)
DEAD_PEER = Check("a dead peer: 503, and back: 200")
CLOCK = Check("the clock is set: nobody dies of it")
MPTCP = Check("MPTCP is refused with its reason")
KILLED = Check("kill -9, restart, restore")
NAMESPACES = Check("two namespaces with the same addresses")
NETEM_LOSS = Check("netem: lost probes are the unanswered ones")
NETEM_DEATH = Check("netem: deaths when the schedule says")
GENEVE = Check("Geneve: set and counted")
WIREGUARD = Check("WireGuard: set and counted")
REDIRECT_BEFORE = Check("connect4 that redirects, there before the agent")
REDIRECT_AFTER = Check("connect4 that redirects, there after the agent")

FOR_KERNEL = (
    MACHINE, SUPPORT_AS_RUN, SUPPORT_HINTS, BPF_WHERE_DUE, BTF_HIDDEN, FIELD_MOVED, FIELD_ESSENTIAL, STOPPED_EARLY,
    IPVS_TIMEOUT, IPVS_CLASS, IPVS_REFRESH, IPVS_AGENT, IPVS_BACKENDS,
)
FOR_UNIT = (UNIT_START, UNIT_SANDBOX, UNIT_RELOAD, UNIT_WATCHDOG, UNIT_STOP, UNIT_OPTIONS)
FOR_PACKAGE = (PACKAGE_INSTALL, PACKAGE_UPGRADE, PACKAGE_PURGE)
FOR_DATAPATH = (
    ONCE, BEFORE, AFTER, PROBES, DEAD_PEER, CLOCK, MPTCP, RESTORE, KILLED, NAMESPACES,
    NETEM_LOSS, NETEM_DEATH, GENEVE, WIREGUARD, REDIRECT_BEFORE, REDIRECT_AFTER,
)


def datapaths(kernel: Series) -> tuple[str, ...]:
    return ("pidfd", "bpf") if kernel >= BPF_SINCE else ("pidfd",)


def planned(kernel: Series, *, quick: bool, package: bool = False) -> list[tuple[Check, str]]:
    """What a machine has to report: each check with the datapath, empty where it is of none."""
    plan = [(check, "") for check in (*FOR_KERNEL, *FOR_UNIT, *(FOR_PACKAGE if package else ()))]
    plan += [(check, datapath) for datapath in datapaths(kernel) for check in FOR_DATAPATH]
    return [(check, datapath) for check, datapath in plan if check.applies(kernel) and (check.quick or not quick)]
