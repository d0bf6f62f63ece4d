"""The application of tests/Shared/holder.c: it opens, accepts and holds connections on command."""

import subprocess
from dataclasses import dataclass
from typing import ClassVar

from guest.netns import Namespace


@dataclass(frozen=True)
class Values:
    on: bool
    time: int
    interval: int
    probes: int

    UNTOUCHED: ClassVar["Values"]

    def __str__(self) -> str:
        return f"{'on' if self.on else 'off'}/{self.time}/{self.interval}/{self.probes}"


Values.UNTOUCHED = Values(on=False, time=7200, interval=75, probes=9)


class HolderError(Exception):
    def __init__(self, command: str, errno: int, text: str):
        super().__init__(f"{command}: {text}")
        self.errno = errno


class Holder:
    program = ""

    def __init__(self, namespace: Namespace | None, *through: str):
        prefix = namespace.enter if namespace else []
        self._process = subprocess.Popen(
            [*prefix, *through, Holder.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, *words: object) -> list[str]:
        command = " ".join(str(word) for word in words)
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        kind, *answer = self._process.stdout.readline().split() or ["gone"]
        if kind != "ok":
            raise HolderError(command, int(answer[0]) if answer else 0, " ".join(answer[1:]) or "the holder has ended")
        return answer

    def listen(self, port: int, at: str = "::") -> None:
        self.ask("listen", at, port)

    def multipath(self, on: bool) -> None:
        """Whether listeners and connections made from now on are MPTCP's."""
        self.ask("multipath", "on" if on else "off")

    def connect(self, to: str, port: int) -> str:
        return self.ask("connect", to, port, 1)[0]

    def values(self, connection: str) -> Values:
        on, time, interval, probes = (int(word) for word in self.ask("get", connection))
        return Values(on == 1, time, interval, probes)

    def error(self, connection: str) -> int:
        """The pending error, which is read once."""
        return int(self.ask("soerror", connection)[0])

    def close_all(self) -> None:
        self.ask("closeall")

    def stop(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=20)
