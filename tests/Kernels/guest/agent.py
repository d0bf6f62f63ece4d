"""keepalive-agent as a user starts it."""

import http.client
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from guest.policy import Policy
from guest.waiting import Failed, Patience, eventually

PORT = 9464


class Agent:
    """The service, with a directory of its own, a pass every second and everything restored at its end."""

    program = ""

    def __init__(self, policy: Policy, datapath: str, state: Path | None = None, more: tuple[str, ...] = (), through: tuple[str, ...] = ()):
        self.datapath = datapath
        self.state = state or Path(tempfile.mkdtemp(prefix="agent-", dir="/run"))
        self._log = Path(tempfile.mkstemp(prefix="log-", dir="/run")[1])
        self._command = [
            *through, Agent.program, "run", "--policies", str(policy.path), "--datapath", datapath, "--state-dir", str(self.state),
            "--interval", "1s", "--listen", f"127.0.0.1:{PORT}", "--restore-on-exit", *more,
        ]
        self._process: subprocess.Popen | None = None
        self.started_within = 0.0

    @property
    def pid(self) -> int:
        return self._process.pid

    def launch(self) -> "Agent":
        """Starts it and waits for nothing."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        return self

    def start(self) -> "Agent":
        """Starts it and waits until it is ready."""
        begun = time.monotonic()
        self.launch()
        eventually(self._is_ready, 30, f"{self.datapath}: /readyz")
        self.started_within = time.monotonic() - begun
        return self

    def _is_ready(self) -> bool:
        if self._process.poll() is not None:
            raise Failed(f"run --datapath {self.datapath} ended with exit code {self._process.returncode}: {self.log().strip()}")
        return self.get("/readyz")[0] == 200

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def first_lines(self) -> list[str]:
        """What it has said by now, without the times."""
        return [re.sub(r"^\S+Z ", "", line) for line in self.log().splitlines()]

    def wait_for(self, text: str, limit: float) -> str:
        """The first line of the log with this in it."""
        return eventually(
            lambda: next((line for line in self.log().splitlines() if text in line), None), limit, f'no line with "{text}" in the log')

    @staticmethod
    def get(path: str, port: int = PORT) -> tuple[int, str]:
        """Status and text of a page; 0 where nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (ConnectionError, TimeoutError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    @staticmethod
    def metric(name: str, **labels: str) -> float:
        """The sum of a family's series that have these labels."""
        total = 0.0
        for line in Agent.get("/metrics")[1].splitlines():
            series = re.match(rf"{name}(?:\{{(.*)\}})? (\S+)$", line)
            if series and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', series.group(1) or "")).items():
                total += float(series.group(2))
        return total

    def stop(self, how: int = signal.SIGTERM, limit: float = 20) -> int:
        """Sends a signal and waits for the end; the exit code, negative for a signal that ended it."""
        self._process.send_signal(how)
        try:
            return self._process.wait(timeout=limit * Patience.factor)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise Failed(f"signal {how}: still there after {limit} s") from None

    def wait(self, limit: float = 30) -> int:
        """Waits until it ends by itself; the exit code."""
        return eventually(lambda: (self._process.poll() is not None and (self._process.returncode,)), limit, "the end of the agent")[0]

    def end(self) -> None:
        """Whatever has happened: it does not outlive its check."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> "Agent":
        return self

    def __exit__(self, exception: object, *_: object) -> None:
        if exception:
            self.tell()
        self.end()

    def tell(self) -> None:
        """Prints what helps to understand a failure."""
        print("    --- the end of the agent's log", *self.log().splitlines()[-30:], sep="\n")
        if self._process and self._process.poll() is None:
            metrics = [line for line in self.get("/metrics")[1].splitlines() if line.startswith("keepalive_") and "_bucket" not in line]
            print("    --- its metrics", *metrics, sep="\n")
            print("    --- the sockets", *(line for line in command("sockets").stdout.splitlines() if "TIME-WAIT" not in line), sep="\n", flush=True)


def command(*arguments: str, through: tuple[str, ...] = (), limit: float = 60) -> subprocess.CompletedProcess:
    """Runs a command of the agent's to its end."""
    return subprocess.run(
        [*through, Agent.program, *arguments], capture_output=True, text=True, timeout=limit * Patience.factor, check=False, env=os.environ, stdin=subprocess.DEVNULL)
