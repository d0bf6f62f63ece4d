"""The service on one datapath: a near namespace with applications, a far one that they connect to."""

import errno
import json
import signal
import time
from pathlib import Path

import checks
from guest.agent import Agent, command
from guest.bed import Bed
from guest.holder import HolderError, Values
from guest.lab import FOUR, NEAR_OTHER, OTHER, PORT, PROBES_SENT, SIX, Lab, all_of
from guest.policy import Policy
from guest.waiting import Skipped, equal, eventually, expect, settled

WANTED = Values(True, 2, 1, 3)
DYING = OTHER
MULTIPATH_PORT = 7001

# Timers are late by an eighth at most; what notices that runs once a second, in a machine that is emulated.
LATEST, SLACK = 1.13, 3.0


class Service(Lab):
    def __init__(self, bed: Bed, datapath: str):
        super().__init__(datapath)
        self.bed = bed
        self.datapath = datapath
        self.policy = Policy(Path(f"/run/{datapath}.yaml")).add("far", WANTED, FOUR, SIX, DYING)
        self.agent = Agent(self.policy, datapath)
        self.probes_before = 0

    def __exit__(self, *exception: object) -> None:
        self.agent.end()
        super().__exit__(*exception)


def run(bed: Bed, datapath: str) -> None:
    with Service(bed, datapath) as service:
        _once(service)
        _set(service)
        _count(service)
        if not bed.quick:
            _die_and_return(service)
            _set_clock(service)
            _multipath(service)
        _restore(service)
        if not bed.quick:
            _kill(service)


def _once(service: Service) -> None:
    with service.bed.check(checks.ONCE, service.datapath):
        connections = service.open_each_kind()
        arguments = ["run", "--policies", str(service.policy.path), "--once", "--datapath", service.datapath, "--state-dir", f"/run/once-{service.datapath}"]
        done = command(*arguments)
        equal(done.returncode, 0, f"exit code, with {done.stderr.strip()}")
        equal(service.values(connections), all_of(connections, WANTED), "values")
        service.bed.note(done.stdout.strip().splitlines()[-1])
        done = command(*arguments, "--restore-on-exit")
        equal(done.returncode, 0, f"exit code of --restore-on-exit, with {done.stderr.strip()}")
        equal(service.values(connections), all_of(connections, Values.UNTOUCHED), "values after --restore-on-exit")
        service.client.close_all()


def _set(service: Service) -> None:
    bed = service.bed
    before = service.open_each_kind()
    service.probes_before = service.near.counter(PROBES_SENT)
    with bed.check(checks.BEFORE, service.datapath):
        service.agent.start()
        bed.note(f"ready after {service.agent.started_within:.1f} s")
        for line in service.agent.first_lines()[:3]:
            bed.note(f"run: {line}")
        settled(lambda: service.values(before), all_of(before, WANTED), 5, "values of sockets opened before the start")
    with bed.check(checks.AFTER, service.datapath):
        after = service.open_each_kind()
        at_once = service.values(after)
        if service.datapath == "bpf":
            equal(at_once, all_of(after, WANTED), "values when connect() has returned")
        settled(lambda: service.values(after), all_of(after, WANTED), 5, "values of sockets opened after the start")
        settled(lambda: service.agent.metric("keepalive_applied_total", datapath=service.datapath), 6.0, 5, "keepalive_applied_total")


def _count(service: Service) -> None:
    with service.bed.check(checks.PROBES, service.datapath):
        time.sleep(6)
        # With all sockets closed no probe can come between the two readings.
        service.client.close_all()
        kernel = service.near.counter(PROBES_SENT) - service.probes_before
        # Each of six sockets sends one in every 2 s, late by an eighth at most.
        expect(kernel >= 12, f"the kernel has sent {kernel} probes only")
        settled(lambda: service.agent.metric("keepalive_probes_total"), float(kernel), 5, "keepalive_probes_total")
        settled(lambda: service.agent.metric("keepalive_probe_replies_total"), float(kernel), 5, "keepalive_probe_replies_total")
        service.bed.note(f"{kernel} probes, all answered")


def _die_and_return(service: Service) -> None:
    bed, agent = service.bed, service.agent
    page = f"/destinations/{DYING}:{PORT}"
    with bed.check(checks.DEAD_PEER, service.datapath):
        dying = service.client.connect(DYING, PORT)
        settled(lambda: str(service.client.values(dying)), str(WANTED), 5, "values")
        settled(lambda: agent.get(page)[0], 200, 5, "status of a live peer")
        # It hears everything and answers nothing.
        service.far("ip", "route", "add", "blackhole", f"{NEAR_OTHER}/32")
        begun = time.monotonic()
        nominal = WANTED.time + WANTED.probes * WANTED.interval
        settled(lambda: agent.get(page)[0], 503, nominal * LATEST + SLACK, "status of a dead peer")
        took = time.monotonic() - begun
        bed.note(f"503 after {took:.1f} s, nominally {nominal} s after the last packet")
        # The last packet may have come as long before as there is between two probes.
        expect(took > nominal - WANTED.time * LATEST, f"503 after {took:.1f} s, before the probes could tell")
        equal(service.client.error(dying), errno.ETIMEDOUT, "error of the socket")
        service.far("ip", "route", "delete", "blackhole", f"{NEAR_OTHER}/32")
        service.client.connect(DYING, PORT)
        settled(lambda: agent.get(page)[0], 200, 5, "status once it answers")
        service.client.close_all()


def _set_clock(service: Service) -> None:
    bed, agent = service.bed, service.agent
    with bed.check(checks.CLOCK, service.datapath):
        held = service.client.connect(FOUR, PORT)
        settled(lambda: str(service.client.values(held)), str(WANTED), 5, "values")
        dead = agent.metric("keepalive_connections_dead_total")
        unanswered = agent.metric("keepalive_probes_unanswered_total")
        for hours in (1, -2, 1):
            time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME) + 3600 * hours)
            replies = agent.metric("keepalive_probe_replies_total")
            eventually(lambda: agent.metric("keepalive_probe_replies_total") >= replies + 2, 15, "two more replies")
        equal(agent.metric("keepalive_connections_dead_total"), dead, "keepalive_connections_dead_total")
        equal(agent.metric("keepalive_probes_unanswered_total"), unanswered, "keepalive_probes_unanswered_total")
        equal(agent.get(f"/destinations/{FOUR}:{PORT}")[0], 200, "status of the destination")
        service.client.close_all()


def _multipath(service: Service) -> None:
    bed, agent = service.bed, service.agent
    with bed.check(checks.MPTCP, service.datapath):
        for each in (service.client, service.server):
            each.multipath(True)
        try:
            service.server.listen(MULTIPATH_PORT)
            service.client.connect(FOUR, MULTIPATH_PORT)
        except HolderError as refused:
            if refused.errno in (errno.EPROTONOSUPPORT, errno.ENOPROTOOPT):
                raise Skipped(f"the kernel has no MPTCP: {refused}") from None
            raise
        finally:
            for each in (service.client, service.server):
                each.multipath(False)
        eventually(lambda: agent.metric("keepalive_apply_failures_total", reason="mptcp") > 0, 5, 'keepalive_apply_failures_total{reason="mptcp"}')
        line = agent.wait_for("agent[23]", 5)
        bed.note(line.split(" ", 1)[1])
        expect("multipath (MPTCP)" in line, f"the log gives another reason: {line}")
        service.client.close_all()


def _restore(service: Service) -> None:
    with service.bed.check(checks.RESTORE, service.datapath):
        held = service.open_each_kind()
        settled(lambda: service.values(held), all_of(held, WANTED), 5, "values before the end")
        equal(service.agent.stop(), 0, "exit code")
        equal(service.values(held), all_of(held, Values.UNTOUCHED), "values after the end")
        # What is set later would be by somebody who is gone.
        equal(str(service.client.values(service.client.connect(FOUR, PORT))), str(Values.UNTOUCHED), "values of a connection made after the end")
        service.client.close_all()


def _kill(service: Service) -> None:
    with service.bed.check(checks.KILLED, service.datapath):
        held = service.open_each_kind()
        service.agent.start()
        settled(lambda: service.values(held), all_of(held, WANTED), 5, "values before the kill")
        service.agent.stop(signal.SIGKILL)
        equal(service.values(held), all_of(held, WANTED), "values after the kill")
        equal(str(service.client.values(service.client.connect(FOUR, PORT))), str(Values.UNTOUCHED), "values of a connection made meanwhile")
        service.agent.start()
        pages = service.agent.get("/readyz")[1]
        equal(json.loads(pages)["problems"], [], "problems")
        equal(service.agent.stop(), 0, "exit code")
        equal(service.values(held), all_of(held, Values.UNTOUCHED), "values after the second end")
