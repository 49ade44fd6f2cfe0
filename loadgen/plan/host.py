"""A host as it is written: by number or by name.

By the C library's own reading of numbers. The module `ipaddress` would be the largest that a load
worker has, and takes 0.4 MiB of it.
"""

import socket
from typing import Final

_LOOPBACK_NETWORK: Final = 127
_LOOPBACK6: Final = bytes([*[0] * 15, 1])


def is_numeric(host: str) -> bool:
    """Whether this is an address, with a zone or without, and no name."""
    return bool(_packed(host))


def is_loopback(host: str) -> bool:
    """Whether this is an address that stays on this machine; a name is not."""
    packed = _packed(host)
    return packed == _LOOPBACK6 or (len(packed) == 4 and packed[0] == _LOOPBACK_NETWORK)


def _packed(host: str) -> bytes:
    """The address as its 4 or 16 bytes; empty for a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_pton(family, host.partition("%")[0])
        except (OSError, ValueError):  # no address, or no text that could be one
            continue
    return b""
