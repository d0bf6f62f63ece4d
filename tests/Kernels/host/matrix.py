"""The table: check × kernel × datapath."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import checks

NOT_RUN = {"result": "failed", "why": "it did not run", "seconds": 0.0, "notes": []}


@dataclass
class Column:
    """What one kernel has reported."""

    release: str
    plan: list[tuple[checks.Check, str]]
    results: dict[tuple[str, str], dict] = field(default_factory=dict)
    seconds: float = 0.0
    skipped: str = ""

    def read(self, file: Path) -> None:
        """Takes in the lines that a machine has written."""
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
            result = json.loads(line)
            self.results[result["check"], result["datapath"]] = result

    def skip(self, which: tuple[checks.Check, ...], why: str) -> None:
        for check in which:
            self.results[check.name, ""] = {"result": "skipped", "why": why, "seconds": 0.0, "notes": []}

    def each(self) -> list[tuple[checks.Check, str, dict]]:
        return [(check, datapath, self.results.get((check.name, datapath), NOT_RUN)) for check, datapath in self.plan]

    def count(self, result: str) -> int:
        return sum(each["result"] == result for _, _, each in self.each())


def cell(result: dict | None) -> str:
    if result is None:
        return "-"
    return {"passed": f"{result['seconds']:.1f} s", "failed": "FAILED", "skipped": "skipped"}[result["result"]]


def table(columns: list[Column]) -> str:
    ran = [column for column in columns if not column.skipped]
    lines = []
    for title, rows, datapaths in (
            ("once for each kernel", (*checks.FOR_KERNEL, *checks.FOR_UNIT, *checks.FOR_PACKAGE), ("",)), ("on each datapath", checks.FOR_DATAPATH, ("pidfd", "bpf"))):
        heads = [f"{column.release.removesuffix('-amd64')} {datapath}".strip() for column in ran for datapath in datapaths]
        planned = {check.name for column in ran for check, _ in column.plan}
        body = [
            [check.name, *(cell(_result(column, check, datapath)) for column in ran for datapath in datapaths)]
            for check in rows if check.name in planned
        ]
        lines += _aligned([title, *heads], body) + [""]
    for column in columns:
        if column.skipped:
            lines.append(f"{column.release}: skipped: {column.skipped}")
        else:
            lines.append(
                f"{column.release}: {column.count('passed')} passed, {column.count('failed')} failed, {column.count('skipped')} skipped in {column.seconds:.0f} s")
    return "\n".join(lines)


def details(columns: list[Column]) -> str:
    """Each check with its figures, and why it failed or was skipped."""
    lines = []
    for column in columns:
        lines.append(f"# {column.release}")
        for check, datapath, result in column.each():
            lines.append(f"{result['result']:8} {check.name}{f' ({datapath})' if datapath else ''}, {result['seconds']:.1f} s{': ' if result['why'] else ''}{result['why']}")
            lines += [f"         {note}" for note in result["notes"]]
        lines.append("")
    return "\n".join(lines)


def _result(column: Column, check: checks.Check, datapath: str) -> dict | None:
    planned = any(known.name == check.name and of == datapath for known, of in column.plan)
    return column.results.get((check.name, datapath), NOT_RUN) if planned else None


def _aligned(head: list[str], body: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in [head, *body]) for i in range(len(head))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in [head, *body]]
