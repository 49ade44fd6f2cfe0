"""Where a cluster is: the address of a Dask scheduler, or so many workers that are started here."""

from dataclasses import dataclass

from loadgen.plan.host import is_loopback

MOST_LOCAL = 64


class AddressError(ValueError):
    """Its text is a line that says what to write."""


@dataclass(frozen=True)
class ClusterAddress:
    """`url` as Dask has it, such as tcp://10.0.0.1:8786, or so many `local` workers."""

    url: str = ""
    local: int = 0

    @property
    def encrypted(self) -> bool:
        return self.url.startswith("tls://")

    @property
    def host(self) -> str:
        return self.url.partition("://")[2].rpartition(":")[0].strip("[]") or "127.0.0.1"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2] or 0)

    def __str__(self) -> str:
        return self.url or f"local:{self.local}"


def parse(text: str) -> ClusterAddress:
    """tcp://HOST:PORT, tls://HOST:PORT, or local:N. Raises AddressError."""
    kind, _, number = text.partition(":")
    if kind == "local" and number.isdecimal() and 1 <= int(number) <= MOST_LOCAL:
        return ClusterAddress(local=int(number))
    scheme, _, rest = text.partition("://")
    host, _, port = rest.rpartition(":")
    if scheme in ("tcp", "tls") and host and port.isdecimal():
        return ClusterAddress(text)
    raise AddressError(
        f"{text!r} is no cluster; write tcp://HOST:PORT or tls://HOST:PORT, where a Dask scheduler "
        f"listens, or local:N for up to {MOST_LOCAL} workers that are started here"
    )


def is_this_machine(host: str) -> bool:
    """True for an address that is this machine's alone; any other name is taken for another's."""
    return host == "localhost" or is_loopback(host)
