"""What a worker asks of the system for its own process, and what that says of it.

Without `pathlib`, which brings `urllib` and `ipaddress` with it: 0.7 of the 18 MiB that a worker
has, of which a million clients take 60.
"""

import contextlib
import os
import resource
import sys


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files to the hard one, for this process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def wake_precisely() -> None:
    """Ask Linux not to add its usual 50 us to a sleep, which an open loop would show."""
    with contextlib.suppress(OSError):
        file = os.open("/proc/self/timerslack_ns", os.O_WRONLY)
        try:
            os.write(file, b"1")
        finally:
            os.close(file)


def peak_memory_bytes() -> int:
    """The most memory that this process has had resident.

    From Linux's own mark where there is one: getrusage() there starts with the peak of the process
    that forked this one (getrusage(2) says so of execve), which may be a large parent.
    """
    with (
        contextlib.suppress(OSError, ValueError, IndexError),
        open("/proc/self/status", encoding="utf-8") as file,  # noqa: PTH123 - see above
    ):
        return int(file.read().split("VmHWM:")[1].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
