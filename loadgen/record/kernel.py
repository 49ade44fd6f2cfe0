"""The kernel's own counters across a run: how a full backlog and lost packets are seen.

Those of `read` count for the whole machine (strictly: the network namespace), so other programs'
connections move them too. Read before and after; only what moved is worth showing. None where the
system does not have them: only Linux does.
"""

import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Final

# What each counter says to a person when it has moved.
MEANINGS = {
    "ListenOverflows": "connections that found the backlog full",
    "ListenDrops": "connection attempts dropped at a listener",
    "TCPReqQFullDrop": "connection attempts dropped before the handshake ended",
    "RetransSegs": "TCP segments sent again",
    "TCPTimeouts": "TCP timers that ran out waiting for the other side",
    "TCPAbortOnMemory": "connections aborted for want of memory",
    "UdpRcvbufErrors": "datagrams dropped at a full buffer",
}
_MEMORY: Final = Path("/proc/meminfo")
_KERNELS_OWN: Final = ("Slab", "KernelStack", "PageTables", "Percpu")
_SOCKETS: Final = Path("/proc/net/sockstat")
_FILES = (Path("/proc/net/netstat"), Path("/proc/net/snmp"))


def read() -> dict[str, int] | None:
    """The counters now, by name, or None where there are none to read."""
    try:
        texts = [path.read_text() for path in _FILES]
    except OSError:
        return None
    return parse("".join(texts)) or None


def parse(text: str) -> dict[str, int]:
    """The counters named in `MEANINGS` from the text of /proc/net/netstat and /proc/net/snmp.

    Both hold pairs of lines: "TcpExt: names ..." and "TcpExt: values ...". UDP's names are given a
    prefix, since other protocols use the same ones.
    """
    found: dict[str, int] = {}
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        protocol = names.partition(":")[0]
        prefix = "Udp" if protocol == "Udp" else ""
        for name, value in zip(names.split()[1:], values.split()[1:], strict=False):
            if prefix + name in MEANINGS and protocol in ("Tcp", "TcpExt", "Udp"):
                found[prefix + name] = int(value)
    return found


def memory_bytes() -> int | None:
    """Memory that the kernel uses for itself on this machine: sockets, files, stacks, page tables.

    What waits in sockets' buffers is in it. None where it does not say.
    """
    try:
        told = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
        kilobytes = sum(int(told[name].split()[0]) for name in _KERNELS_OWN)
        return 1024 * kilobytes + _tcp_counts()["mem"] * resource.getpagesize()
    except (OSError, KeyError, ValueError):
        return None


def tcp_sockets() -> int | None:
    """TCP sockets of the machine that are in use, both ends of what connects within it."""
    try:
        return _tcp_counts()["inuse"]
    except (OSError, KeyError, ValueError):
        return None


def _tcp_counts() -> dict[str, int]:
    """What /proc/net/sockstat says of TCP: `inuse`, `tw` and so on; `mem` in pages."""
    for line in _SOCKETS.read_text().splitlines():
        protocol, _, rest = line.partition(":")
        if protocol == "TCP":
            words = rest.split()
            return dict(zip(words[::2], map(int, words[1::2]), strict=True))
    return {}


def difference(
    before: Mapping[str, int] | None, after: Mapping[str, int] | None
) -> dict[str, int] | None:
    """How far each counter moved from one reading to the next, or None where it was not read."""
    if before is None or after is None:
        return None
    return {name: after[name] - before[name] for name in after if name in before}
