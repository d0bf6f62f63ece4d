"""What came of each check, one line of JSON as soon as it is known: a machine that hangs keeps what it had."""

import json
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guest.waiting import Failed, Patience, Skipped

LONGEST_CHECK = 150


class Report:
    def __init__(self, path: Path):
        self._file = path.open("a", encoding="utf-8")
        self._notes: list[str] = []
        signal.signal(signal.SIGALRM, self._too_long)

    def note(self, text: str) -> None:
        """A figure or a line of output that goes with the check that runs."""
        self._notes.append(text)
        print(f"    {text}", flush=True)

    @contextmanager
    def check(self, name: str, datapath: str = "", limit: int = LONGEST_CHECK) -> Iterator[None]:
        """Runs one check. A failure is written down; the checks after it run all the same."""
        self._notes = []
        begun = time.monotonic()
        print(f"{name} {datapath}", flush=True)
        signal.alarm(int(limit * Patience.factor))
        try:
            yield
            result, why = "passed", ""
        except Skipped as skipped:
            result, why = "skipped", str(skipped)
        except Failed as failed:
            result, why = "failed", str(failed)
        except Exception as unexpected:  # whatever it is, the others have to run
            traceback.print_exc()
            result, why = "failed", f"{type(unexpected).__name__}: {unexpected}"
        finally:
            signal.alarm(0)
        seconds = round(time.monotonic() - begun, 1)
        print(f"    {result} after {seconds} s {why}", flush=True)
        line = {"check": name, "datapath": datapath, "result": result, "seconds": seconds, "why": why, "notes": self._notes}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    @staticmethod
    def _too_long(*_: object) -> None:
        raise Failed("it took too long")
