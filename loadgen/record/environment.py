"""Where a result was measured: what a reader needs to know before believing or comparing it.

Nothing that names a person or a place is kept: no host name, no user, no paths.
"""

import os
import platform
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil

from loadgen.record.number import Count

LIBRARIES = ("psutil", "tabulate", "rich", "hdrhistogram", "uvloop", "gevent", "trio", "bokeh")
# What is equal on like machines; the rest may differ and does no harm.
MACHINE = ("system", "kernel", "machine", "cpu", "cores", "usable_cores", "memory_bytes")


@dataclass(frozen=True, slots=True)
class Environment:
    """One machine and interpreter, as it was when the measurement began.

    `cores` counts logical processors; `usable_cores` those that this process may run on, and a
    container's CPU quota (in cores) is `cpu_quota`. `gil` is "on", "off" or "not known".
    `load_average` is the one-minute figure. None stands for what could not be read.
    """

    system: str
    kernel: str
    machine: str
    cpu: str | None
    cores: Count | None
    physical_cores: Count | None
    usable_cores: Count | None
    cpu_quota: float | None
    memory_bytes: Count
    descriptors: tuple[int, int]
    listen_backlog_limit: Count | None
    load_average: float | None
    implementation: str
    python: str
    gil: str
    libraries: Mapping[str, str]

    @property
    def cores_to_use(self) -> float | None:
        """How many cores' worth of time a quota leaves of the usable cores."""
        return _within(self.usable_cores, self.cpu_quota)


def describe() -> Environment:
    """This machine and this interpreter, now."""
    return Environment(
        system=platform.system(),
        kernel=platform.release(),
        machine=platform.machine(),
        cpu=_cpu_name(),
        cores=psutil.cpu_count(),
        physical_cores=psutil.cpu_count(logical=False),
        usable_cores=usable_cores(),
        cpu_quota=cpu_quota(),
        memory_bytes=psutil.virtual_memory().total,
        descriptors=_descriptor_limits(),
        listen_backlog_limit=_listen_backlog_limit(),
        load_average=_load_average(),
        implementation=platform.python_implementation(),
        python=platform.python_version(),
        gil=gil_state(),
        libraries=_versions(LIBRARIES),
    )


def usable_cores() -> int | None:
    """The processors that this process may run on, where the system says so; otherwise all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return psutil.cpu_count()


def cores_to_use() -> float | None:
    """How many cores' worth of time this process may use, by its processors and its quota."""
    return _within(usable_cores(), cpu_quota())


def _within(cores: int | None, quota: float | None) -> float | None:
    return min((float(bound) for bound in (cores, quota) if bound is not None), default=None)


def gil_state() -> str:
    """This interpreter's global lock: "on", "off", or "not known" where it cannot be asked."""
    asks = getattr(sys, "_is_gil_enabled", None)
    if asks is not None:
        return "on" if asks() else "off"
    # The question came with 3.13, and so did the first CPython that can be built without the lock.
    return "on" if platform.python_implementation() == "CPython" else "not known"


def differences(one: Environment, other: Environment) -> list[str]:
    """What differs between two machines or interpreters, a line each, in field order."""
    names = (*MACHINE, "implementation", "python", "gil")
    pairs = [(name, getattr(one, name), getattr(other, name)) for name in names]
    return [f"{name.replace('_', ' ')}: {a} and {b}" for name, a, b in pairs if a != b]


def _cpu_name() -> str | None:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or None
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() in ("model name", "cpu model", "hardware"):
            return value.strip()
    return platform.processor() or None


def cpu_quota(
    mount: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> float | None:
    """Cores' worth of CPU time that this process may use by its cgroups, None when unlimited.

    The least of its own group's and of those around it, as far as they can be seen from here: in
    cgroup version 2 `cpu.max`, in version 1 `cpu.cfs_quota_us` (Linux, admin-guide/cgroup-v2.rst
    and scheduler/sched-bwc.rst). `own` lists the process's groups as cgroups(7) describes.
    """
    quotas = []
    for line in _read(own).splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = mount / "cpu" if controllers else mount
        place = top / group.lstrip("/")
        for folder in (place, *place.parents):
            quotas.append(_quota_of(folder))
            if folder == top:
                break
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_of(folder: Path) -> float | None:
    """The quota that one cgroup sets, in cores; None where it sets none or is not to be seen."""
    words = _read(folder / "cpu.max").split() or [
        *_read(folder / "cpu.cfs_quota_us").split(),
        *_read(folder / "cpu.cfs_period_us").split(),
    ]
    try:
        quota, period = map(int, words)
    except ValueError:  # "max", or nothing
        return None
    return quota / period if quota > 0 and period > 0 else None


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _descriptor_limits() -> tuple[int, int]:
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def _listen_backlog_limit() -> int | None:
    try:
        return int(Path("/proc/sys/net/core/somaxconn").read_text())
    except (OSError, ValueError):
        return None


def _load_average() -> float | None:
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return None


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
