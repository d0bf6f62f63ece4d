"""Other type information than the kernel's own, for one command: what libbpf finds there decides what it makes of the programs."""

from pathlib import Path

VMLINUX = Path("/sys/kernel/btf/vmlinux")


def hidden() -> tuple[str, ...]:
    """A prefix of a command that then sees none."""
    return _in_mounts("mount -t tmpfs none /sys/kernel/btf")


def renamed(*names: str) -> tuple[str, ...]:
    """A prefix of a command that then sees these members and types under names that nobody knows.

    To the command this is a kernel in which they have gone, or moved to somewhere else.
    """
    types = VMLINUX.read_bytes()
    for name in names:
        types = types.replace(b"\0%b\0" % name.encode(), b"\0%b_\0" % name[:-1].encode())
    file = Path("/run") / f"btf-{'-'.join(names)}"
    file.write_bytes(types)
    return _in_mounts(f"mount --bind {file} {VMLINUX}")


def _in_mounts(command: str) -> tuple[str, ...]:
    return "unshare", "--mount", "sh", "-c", f'{command} && exec "$0" "$@"'
