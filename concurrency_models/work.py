"""Work that a message may ask of the server, so that models differ in more than I/O.

Three kinds, chosen for what they do to the other clients: `fib` computes in Python and holds the
GIL, `sha256` computes in C and releases it, `sleep` waits as a blocking call to a database would.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_BLOCK: Final = bytes(1024)


def fibonacci(n: int) -> int:
    """Return the n-th Fibonacci number the slow way: about 1.6**n additions, the GIL held."""
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def hash_kib(kib: int) -> str:
    """Return the SHA-256 of `kib` KiB of zeros, in hexadecimal; the GIL is released meanwhile."""
    # Imported when first asked for: OpenSSL is 4 MiB that every forked child would have to map.
    import hashlib  # noqa: PLC0415

    return hashlib.sha256(_BLOCK * kib).hexdigest()


def sleep_ms(ms: int) -> int:
    """Block the calling thread for `ms` milliseconds and return `ms`."""
    time.sleep(ms / 1000)
    return ms


@dataclass(frozen=True)
class Work:
    """One kind of work: the function of one whole number, and the largest number it is given."""

    function: Callable[[int], int | str]
    largest: int
    unit: str


KINDS: Final[dict[str, Work]] = {
    "fib": Work(fibonacci, 32, "as n"),
    "sha256": Work(hash_kib, 65_536, "KiB"),
    "sleep": Work(sleep_ms, 10_000, "ms"),
}
"""What a message can ask for: `fib N`, `sha256 KIB`, `sleep MS`."""


def perform(message: bytes) -> bytes:
    """Do what `message` asks, if it asks for work, and return the result as text.

    A message that names no kind of work is returned as it is; one that names a kind with a number
    out of bounds is answered with the bounds. Never raises.
    """
    name, _, argument = message.partition(b" ")
    kind = KINDS.get(name.decode("ascii", "replace"))
    if kind is None:
        return message
    if not argument.isdigit() or len(argument) > 9 or int(argument) > kind.largest:
        return b"%s takes a whole number from 0 to %d (%s)" % (
            name, kind.largest, kind.unit.encode(),
        )  # fmt: skip
    return str(kind.function(int(argument))).encode()
