"""What `/proc` says of the processes below this one."""

import os
from contextlib import suppress
from pathlib import Path


def resident() -> int:
    """Return the bytes of memory that they have."""
    return sum(int(fields[21]) for fields in _below().values()) * os.sysconf("SC_PAGE_SIZE")


def answering() -> float:
    """Return the CPU seconds of the vLLM server's that speaks HTTP; the model has another."""
    ticks = 0
    for pid, fields in _below().items():
        with suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"vllm.entrypoints" in line and b"supervisor" not in line:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _below() -> dict[int, list[str]]:
    """Return the fields of each one's `stat` from its state on; those that end are left out."""
    fields: dict[int, list[str]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields[int(stat.parent.name)] = stat.read_text().rpartition(")")[2].split()
    below = {os.getpid()}
    while new := {pid for pid, one in fields.items() if int(one[1]) in below} - below:
        below |= new
    return {pid: fields[pid] for pid in below - {os.getpid()}}
