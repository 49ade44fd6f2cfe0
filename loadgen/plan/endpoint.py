"""Where a server listens: a family, a transport, and an address or the path of a socket file."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace

from loadgen.plan.host import is_loopback
from loadgen.plan.validation import PlanError, require, require_choice

FAMILIES = ("inet", "inet6", "unix")
TRANSPORTS = ("tcp", "udp")
# sun_path of Linux has 108 bytes, the last of them a zero.
LONGEST_UNIX_PATH = 107


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the server listens.

    `family` is inet, inet6 or unix; `host` (numeric or a name) and `port` belong to the first two,
    `path` to unix.
    """

    family: str
    host: str = ""
    port: int = 0
    path: str = ""
    transport: str = "tcp"

    def __str__(self) -> str:
        if self.family == "unix":
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def sockaddr(self) -> tuple[str, int] | str:
        """What `socket.connect` takes for this endpoint."""
        return self.path if self.family == "unix" else (self.host, self.port)

    @property
    def address_family(self) -> socket.AddressFamily:
        """The socket module's constant for `family`."""
        return {"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(self.family) or socket.AF_UNIX

    @property
    def is_loopback(self) -> bool:
        """True when the load stays on this machine; a name that is not resolved yet does not."""
        return self.family == "unix" or is_loopback(self.host)

    def resolved(self) -> Endpoint:
        """The same endpoint with a numeric host, so that no client pays for a name look-up.

        Raises PlanError when the name has no address of this family.
        """
        if self.family == "unix":
            return self
        try:
            found = socket.getaddrinfo(
                self.host, self.port, self.address_family, socket.SOCK_STREAM
            )
        except (OSError, UnicodeError) as error:
            raise PlanError(
                f"cannot find an {self.family} address for {self.host!r} ({error}); "
                "check the spelling or give a number"
            ) from None
        return replace(self, host=str(found[0][4][0]))

    def validate(self) -> None:
        """Raise PlanError when the parts do not make an address."""
        require_choice("family", self.family, FAMILIES)
        require_choice("transport", self.transport, TRANSPORTS)
        if self.family == "unix":
            require(bool(self.path), "a unix endpoint needs the path of the server's socket file")
            require(
                len(self.path.encode()) <= LONGEST_UNIX_PATH,
                f"the socket path {self.path!r} is longer than the {LONGEST_UNIX_PATH} bytes "
                "that a unix address holds",
            )
            require(
                self.transport == "tcp",
                "datagrams over unix sockets are not offered; use --family inet with udp",
            )
        else:
            require(bool(self.host), "the server's host is missing: give HOST:PORT")
            require(1 <= self.port <= 65535, f"port {self.port} is not between 1 and 65535")
