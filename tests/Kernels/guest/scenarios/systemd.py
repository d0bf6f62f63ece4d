"""The unit on a systemd that is PID 1."""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import checks
from guest.agent import Agent, command
from guest.bed import Bed
from guest.holder import Values
from guest.lab import FOUR, PORT, SIX, Lab, all_of
from guest.netns import run as command_of_machine
from guest.policy import Policy
from guest.waiting import equal, eventually, expect, settled

UNIT = "keepalive-agent.service"
POLICY = Path("/etc/keepalive/policies/policy.yaml")
STATE, DATA = Path("/run/keepalive-agent"), Path("/var/lib/keepalive-agent")
DEFAULTS = Path("/etc/default/keepalive-agent")
DROP_IN = Path(f"/etc/systemd/system/{UNIT}.d/watchdog.conf")
WANTED, CHANGED = Values(True, 2, 1, 3), Values(True, 50, 5, 4)
WATCHDOG, RESTART = 8, 1
OTHER_PORT = 9465

# systemd-analyze security: from 0, closed, to 10, open. What the agent has to be able to do (CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_NET_ADMIN, entering
# namespaces, seeing all processes) makes most of it.
MOST_EXPOSED = 4.5


def run(bed: Bed) -> None:
    package = os.environ["PACKAGE"]
    if package:
        with bed.check(checks.PACKAGE_INSTALL):
            _install(bed, package)
    with Lab("systemd") as lab:
        before = lab.open_each_kind()
        with bed.check(checks.UNIT_START):
            _start(bed, lab, before)
        with bed.check(checks.UNIT_SANDBOX):
            _look_into_sandbox(bed)
        with bed.check(checks.UNIT_RELOAD):
            _reload(lab, before)
        with bed.check(checks.UNIT_WATCHDOG):
            _hang(bed, lab, before)
        if package:
            with bed.check(checks.PACKAGE_UPGRADE):
                _upgrade(bed, lab, before, package)
        with bed.check(checks.UNIT_STOP):
            _stop(bed, lab, before)
        with bed.check(checks.UNIT_OPTIONS):
            _take_options(bed, lab, before)
    if package:
        with bed.check(checks.PACKAGE_PURGE):
            _purge(bed)


def _systemctl(*arguments: str, check: bool = True) -> str:
    return command_of_machine("systemctl", *arguments, check=check).stdout


def _show(name: str) -> str:
    return _systemctl("show", UNIT, "--property", name, "--value").strip()


def _journal() -> str:
    return command_of_machine("journalctl", "--unit", UNIT, "--output", "cat", "--no-pager").stdout


@contextmanager
def _explained() -> Iterator[None]:
    """What a failure leaves to read."""
    try:
        yield
    except Exception:
        print(_systemctl("status", "--no-pager", "--full", "--lines", "40", UNIT, check=False), flush=True)
        raise


def _install(bed: Bed, package: str) -> None:
    said = command_of_machine("dpkg", "--install", package).stdout
    expect("no policy, so nothing is started or changed" in said, f"what to do next is not said: {said}")
    equal((_show("LoadState"), _show("UnitFileState"), _show("ActiveState")), ("loaded", "enabled", "inactive"), "the unit after the installation")
    # Nor at the next boot, which starts what is enabled.
    _systemctl("start", UNIT)
    equal((_show("ConditionResult"), _show("ActiveState")), ("no", "inactive"), "a start without a policy")
    bed.note(command_of_machine("keepalive-agent", "--version").stdout.splitlines()[0])


def _upgrade(bed: Bed, lab: Lab, before: dict[str, str], package: str) -> None:
    """The next version of the package."""
    command_of_machine("dpkg-deb", "--raw-extract", package, "/tmp/next")
    control = Path("/tmp/next/DEBIAN/control")
    control.write_text(re.sub(r"^Version: .*$", "Version: 99", control.read_text(), flags=re.MULTILINE))
    command_of_machine("dpkg-deb", "-Znone", "--root-owner-group", "--build", "/tmp/next", "/tmp/next.deb")
    with _explained():
        old, known = _show("MainPID"), (STATE / "state").read_text().count("\nset ")
        command_of_machine("dpkg", "--install", "/tmp/next.deb")
        equal((command_of_machine("dpkg-query", "-W", "-f", "${Version}", "keepalive").stdout, _show("ActiveState")), ("99", "active"), "version and state")
        expect(_show("MainPID") != old, "the agent of the version before still runs")
        equal(lab.values(before), all_of(before, CHANGED), "values after the upgrade")
        expect(known > 0 and (STATE / "state").read_text().count("\nset ") >= known, f"the state file had {known} sockets and has lost some")
        bed.note(f"{known} sockets in the state file, and all of them after the upgrade")
        _systemctl("stop", UNIT)
        command_of_machine("dpkg", "--install", "/tmp/next.deb")
        equal(_show("ActiveState"), "inactive", "the state after an upgrade of one that was stopped")
        _systemctl("start", UNIT)


def _purge(bed: Bed) -> None:
    DROP_IN.unlink()
    DROP_IN.parent.rmdir()
    _systemctl("daemon-reload")
    _systemctl("start", UNIT)
    pid = _show("MainPID")
    with _explained():
        command_of_machine("dpkg", "--remove", "keepalive")
        expect(not Path(f"/proc/{pid}").exists(), "the agent runs after its package was removed")
        expect(DATA.exists() and POLICY.exists(), "removing the package has removed state or policies")
        command_of_machine("dpkg", "--purge", "keepalive")
        equal(_show("LoadState"), "not-found", "the unit after the purge")
        expect(not DATA.exists() and not STATE.exists(), "the purge has left state")
        left = [str(path) for path in Path("/etc").rglob("*keepalive*") if path != POLICY.parent.parent]
        equal(left, [], "what the purge has left in /etc, without the policies")


def _start(bed: Bed, lab: Lab, before: dict[str, str]) -> None:
    Policy(POLICY).add("far", WANTED, FOUR, SIX)
    verified = command_of_machine("systemd-analyze", "verify", "--man=no", _show("FragmentPath"), check=False)
    own = [line for line in verified.stderr.splitlines() if UNIT in line]
    equal(own, [], "systemd-analyze verify")
    with _explained():
        begun = time.monotonic()
        _systemctl("start", UNIT)
        bed.note(f"started after {time.monotonic() - begun:.1f} s: {_show('StatusText')}")
        # Type=notify: it is started when the first pass is done.
        equal((_show("ActiveState"), _show("SubState")), ("active", "running"), "state")
        settled(lambda: lab.values(before), all_of(before, WANTED), 8, "values of sockets opened before the start")
        said = command("support").stdout.strip().splitlines()[-1]
        took = re.search(r"started: datapath (\w+)", _journal()).group(1)
        bed.note(f"datapath {took}; support, outside of the unit: {said}")
        expect(said.startswith(f"auto takes {took}:"), f"in the unit the datapath is {took}; outside of it: {said}\n{_journal()}")
        expect("[46]" not in _journal(), f"packet capture is not available in the unit: {_journal()}")
        eventually(lambda: Agent.metric("keepalive_probe_replies_total") > 0, 10, "probes and replies")


def _look_into_sandbox(bed: Bed) -> None:
    exposure = command_of_machine("systemd-analyze", "security", "--no-pager", UNIT).stdout.strip().splitlines()[-1]
    bed.note(f"systemd-analyze security: {exposure.lstrip('→ ')}")
    expect(float(re.search(r"(\d+\.\d+)", exposure).group(1)) <= MOST_EXPOSED, f"more exposed than {MOST_EXPOSED}: {exposure}")
    pid = _show("MainPID")
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    equal((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), "NoNewPrivs and Seccomp")
    given = re.search(r"^CapabilityBoundingSet=(.*)$", Path(_show("FragmentPath")).read_text(), re.MULTILINE).group(1).split()
    equal(int(status["CapBnd"], 16).bit_count(), len(given), "capabilities of the bounding set")
    inside = ("nsenter", "--mount", "--target", pid)
    for place in ("/etc", "/usr", "/sys/fs/cgroup", "/proc/sys/net/ipv4", "/var/lib"):
        written = command_of_machine(*inside, "touch", f"{place}/written", check=False)
        expect("Read-only file system" in written.stderr or "No such file" in written.stderr, f"{place} can be written to: {written.stderr}")
    written = command_of_machine(*inside, "touch", f"{STATE}/written")
    (STATE / "written").unlink()


def _reload(lab: Lab, before: dict[str, str]) -> None:
    pid = _show("MainPID")
    Policy(POLICY).add("far", CHANGED, FOUR, SIX)
    with _explained():
        _systemctl("reload", UNIT)
        settled(lambda: lab.values(before), all_of(before, CHANGED), 8, "values after a reload")
        equal((_show("ActiveState"), _show("MainPID")), ("active", pid), "state and process")
    good = POLICY.read_text()
    POLICY.write_text(good.replace("time: 50s", "time: 99999h"))
    with _explained():
        _systemctl("reload", UNIT)
        eventually(lambda: "agent[11]" in _journal(), 8, "the refusal of a wrong policy")
        equal((_show("ActiveState"), _show("MainPID")), ("active", pid), "state and process after a wrong policy")
        equal(lab.values(before), all_of(before, CHANGED), "values after a wrong policy")
    POLICY.write_text(good)
    _systemctl("reload", UNIT)


def _hang(bed: Bed, lab: Lab, before: dict[str, str]) -> None:
    DROP_IN.parent.mkdir(exist_ok=True)
    DROP_IN.write_text(f"[Service]\nWatchdogSec={WATCHDOG}\nRestartSec={RESTART}\n")
    _systemctl("daemon-reload")
    with _explained():
        _systemctl("restart", UNIT)
        time.sleep(1.5 * WATCHDOG)
        equal(_show("NRestarts"), "0", "restarts of one that works")
        pid = int(_show("MainPID"))
        command_of_machine("kill", f"-{signal.SIGSTOP.value}", str(pid))
        begun = time.monotonic()
        eventually(lambda: _show("NRestarts") == "1" and _show("ActiveState") == "active", 3 * WATCHDOG, "a restart of one that hangs")
        bed.note(f"WatchdogSec={WATCHDOG}: one that was stopped is killed and ready again after {time.monotonic() - begun:.1f} s")
        expect(int(_show("MainPID")) != pid, "it is the same process")
        equal(lab.values(before), all_of(before, CHANGED), "values after the restart")
        after = lab.client.connect(FOUR, PORT)
        settled(lambda: str(lab.client.values(after)), str(CHANGED), 8, "values of a connection made after the restart")


def _stop(bed: Bed, lab: Lab, before: dict[str, str]) -> None:
    with _explained():
        begun = time.monotonic()
        _systemctl("stop", UNIT)
        bed.note(f"stopped after {time.monotonic() - begun:.1f} s")
        equal((_show("ActiveState"), _show("Result"), _show("ExecMainStatus")), ("inactive", "success", "0"), "state, result, exit code")
        equal(lab.values(before), all_of(before, CHANGED), "values after the stop")
        # RuntimeDirectoryPreserve: what was found is known to the next agent, here one that restores it.
        expect((STATE / "state").stat().st_size > 0, "the state file is empty")
        done = command("run", "--policies", str(POLICY), "--once", "--restore-on-exit")
        bed.note(done.stdout.strip().splitlines()[-1])
        equal(lab.values(before), all_of(before, Values.UNTOUCHED), "values after run --once --restore-on-exit")


def _take_options(bed: Bed, lab: Lab, before: dict[str, str]) -> None:
    DEFAULTS.write_text("OPTIONS=--intervall 1s\n")
    with _explained():
        tried = command_of_machine("systemctl", "start", UNIT, check=False)
        expect(tried.returncode != 0, "the start with a wrong option has succeeded")
        time.sleep(5 * RESTART)
        equal((_show("ActiveState"), _show("Result"), _show("ExecMainStatus"), _show("NRestarts")), ("failed", "exit-code", "2", "0"),
            "state, result, exit code, restarts")
        expect(UNIT in _systemctl("--failed", "--no-legend", "--plain"), "systemctl --failed does not have it")
        said = [line for line in _journal().splitlines() if "--intervall" in line]
        equal(len(said), 1, f"lines about the wrong option: {said}")
        bed.note(said[0])
        equal(lab.values(before), all_of(before, Values.UNTOUCHED), "values after the failed start")
    DEFAULTS.write_text(f"OPTIONS=--listen 127.0.0.1:{OTHER_PORT} --interval 1s\n")
    with _explained():
        _systemctl("start", UNIT)
        equal((Agent.get("/readyz", OTHER_PORT)[0], Agent.get("/readyz")[0]), (200, 0), "/readyz at the address of OPTIONS, and at that of the unit")
        equal(lab.values(before), all_of(before, CHANGED), "values after the start with right options")
        DEFAULTS.unlink()
        _systemctl("restart", UNIT)
        equal(Agent.get("/readyz")[0], 200, "/readyz without OPTIONS")
        _systemctl("stop", UNIT)
