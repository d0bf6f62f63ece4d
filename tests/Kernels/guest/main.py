"""All checks of one machine, from its first program's hand (boot) to the last line of /mnt/out/results."""

import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from guest.agent import Agent, command
from guest.bed import Bed
from guest.holder import Holder
from guest.report import Report
from guest.scenarios import backends, ipvs, kernel, namespaces, netem, redirect, service, systemd, tunnels
from guest.waiting import Patience

# Emulated on an idle processor of 2026.
USUAL_START = 0.3


def main() -> None:
    given = os.environ
    Agent.program, built = given["AGENT"], Path(given["BUILT"])
    Holder.program = str(built / "holder")
    major, minor = re.match(r"(\d+)\.(\d+)", os.uname().release).groups()
    bed = Bed(Report(Path("/mnt/out/results")), given["MODE"] == "quick", (int(major), int(minor)), built)

    for name, scenario in scenarios(bed).items():
        if given["ONLY"] not in name:
            continue
        Patience.factor = slowness()
        print(f"{name}: limits of waiting are {Patience.factor:.1f} times as long as usual", flush=True)
        try:
            scenario()
        except Exception:  # its checks that have not run are reported as such by the host; the others do run
            traceback.print_exc()


def slowness() -> float:
    """How much slower than usual a command of the agent's is."""
    begun = time.monotonic()
    command("--version")
    return max(1.0, (time.monotonic() - begun) / USUAL_START)


def scenarios(bed: Bed) -> dict[str, Callable[[], None]]:
    if Path("/proc/1/comm").read_text().strip() == "systemd":
        return {"systemd": lambda: systemd.run(bed)}
    all_of_them = {"kernel": lambda: kernel.run(bed)}
    all_of_them |= {f"service-{datapath}": lambda datapath=datapath: service.run(bed, datapath) for datapath in bed.datapaths}
    if not bed.quick:
        all_of_them |= {"ipvs": lambda: ipvs.run(bed), "backends": lambda: backends.run(bed)}
        for each in (namespaces, netem, tunnels, redirect):
            name = each.__name__.rpartition(".")[2]
            all_of_them |= {f"{name}-{datapath}": lambda each=each, datapath=datapath: each.run(bed, datapath) for datapath in bed.datapaths}
    return all_of_them


main()
