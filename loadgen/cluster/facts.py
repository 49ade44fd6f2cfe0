"""What a machine says of itself before anything is put on it."""

import hashlib
import platform
from functools import cache
from pathlib import Path
from typing import TypedDict

import psutil

import concurrency_models
import loadgen
from concurrency_models import __version__
from loadgen.record import environment

_MEGABIT = 1e6


class Facts(TypedDict):
    """In words that any version of this kit, and of Python, can read.

    `kit` is its version, with some digits that stand for every line of it. `hardware` is
    equal for machines that are one, as containers are, and namespaces in a test. None stands for
    what is not known.
    """

    kit: str
    python: str
    implementation: str
    hardware: str
    cores: float | None
    link_bits_per_second: float | None


def facts(host: str) -> Facts:
    """This machine, which `host` is an address of."""
    return {
        "kit": f"{__version__} ({_digest()})",
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "hardware": _boot(),
        "cores": environment.cores_to_use(),
        "link_bits_per_second": _link_speed(host),
    }


@cache
def _digest() -> str:
    """Equal where the kit is: a line that somebody has changed would be measured, too."""
    digest = hashlib.sha256()
    for package in (concurrency_models, loadgen):
        home = Path(package.__file__ or "").parent
        for file in sorted(home.rglob("*.py")):
            digest.update(str(file.relative_to(home)).encode() + file.read_bytes())
    return digest.hexdigest()[:8]


def _boot() -> str:
    """A number that is new each time a machine is started, and the same all over it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()


def _link_speed(host: str) -> float | None:
    """The speed of the interface that has this address, where the system knows it."""
    owners = [
        name
        for name, addresses in psutil.net_if_addrs().items()
        if any(one.address.partition("%")[0] == host for one in addresses)
    ]
    speeds = [found.speed for name, found in psutil.net_if_stats().items() if name in owners]
    return max(speeds, default=0) * _MEGABIT or None
