"""All checks of one machine, from its first program's hand (boot) to the last line of /mnt/out/results."""

import os
import re
import sys
import traceback
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from guest.agent import Agent
from guest.bed import Bed
from guest.holder import Holder
from guest.report import Report
from guest.scenarios import ipvs, kernel, netem, redirect, service, tunnels


def main() -> None:
    given = os.environ
    Agent.program, built = given["AGENT"], Path(given["BUILT"])
    Holder.program = str(built / "holder")
    major, minor = re.match(r"(\d+)\.(\d+)", os.uname().release).groups()
    bed = Bed(Report(Path("/mnt/out/results")), given["MODE"] == "quick", (int(major), int(minor)), built)

    scenarios = {"kernel": lambda: kernel.run(bed)}
    scenarios |= {f"service-{datapath}": lambda datapath=datapath: service.run(bed, datapath) for datapath in bed.datapaths}
    if not bed.quick:
        scenarios |= {"ipvs": lambda: ipvs.run(bed)}
        for each in (netem, tunnels, redirect):
            name = each.__name__.rpartition(".")[2]
            scenarios |= {f"{name}-{datapath}": lambda each=each, datapath=datapath: each.run(bed, datapath) for datapath in bed.datapaths}
    for name, scenario in scenarios.items():
        if given["ONLY"] and given["ONLY"] not in name:
            continue
        try:
            scenario()
        except Exception:  # its checks that have not run are reported as such by the host; the others do run
            traceback.print_exc()


main()
