"""Work that a message may ask of the server, so that models differ in more than I/O.

Three kinds, chosen for what they do to the other clients: `fib` computes in Python and holds the
GIL, `sha256` computes in C and releases it, `sleep` waits as a blocking call to a database would.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_BLOCK: Final = bytes(1024)

PIECE_FIB: Final = 15
"""The number whose Fibonacci number takes some 0.1 ms, the slow way."""

PIECE_KIB: Final = 64
"""How many KiB have their SHA-256 in some 0.1 ms."""

Sign = Callable[[], None]
"""Called by work that goes on, again and again."""


def fibonacci(n: int) -> int:
    """Return the n-th Fibonacci number the slow way: about 1.6**n additions, the GIL held."""
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def hash_kib(kib: int) -> str:
    """Return the SHA-256 of `kib` KiB of zeros, in hexadecimal; the GIL is released meanwhile."""
    # Imported when first asked for: OpenSSL is 4 MiB that every forked child would have to map.
    import hashlib  # noqa: PLC0415

    return hashlib.sha256(_BLOCK * kib).hexdigest()


def fibonacci_in_pieces(n: int, sign: Sign) -> int:
    """Do as `fibonacci`, with a sign about every 0.1 ms."""
    if n > PIECE_FIB:
        return fibonacci_in_pieces(n - 1, sign) + fibonacci_in_pieces(n - 2, sign)
    value = fibonacci(n)
    sign()
    return value


def hash_kib_in_pieces(kib: int, sign: Sign) -> str:
    """Do as `hash_kib`, with a sign about every 0.1 ms."""
    import hashlib  # noqa: PLC0415 - as above

    digest = hashlib.sha256()
    for start in range(0, kib, PIECE_KIB):
        digest.update(_BLOCK * min(PIECE_KIB, kib - start))
        sign()
    return digest.hexdigest()


def sleep_ms(ms: int) -> int:
    """Block the calling thread for `ms` milliseconds and return `ms`."""
    time.sleep(ms / 1000)
    return ms


@dataclass(frozen=True)
class Work:
    """One kind of work: the function of one whole number, and the largest number it is given.

    in_pieces: does the same, and gives a sign after each piece; None where there is nothing to see.
    """

    function: Callable[[int], int | str]
    largest: int
    unit: str
    in_pieces: Callable[[int, Sign], int | str] | None = None


KINDS: Final[dict[str, Work]] = {
    "fib": Work(fibonacci, 32, "as n", fibonacci_in_pieces),
    "sha256": Work(hash_kib, 65_536, "KiB", hash_kib_in_pieces),
    "sleep": Work(sleep_ms, 10_000, "ms"),
}
"""What a message can ask for: `fib N`, `sha256 KIB`, `sleep MS`."""


def perform(message: bytes, sign: Sign | None = None) -> bytes:
    """Do what `message` asks, if it asks for work, and return the result as text.

    Work that takes long gives a `sign` again and again, if it is to.

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
    if sign and kind.in_pieces:
        return str(kind.in_pieces(int(argument), sign)).encode()
    return str(kind.function(int(argument))).encode()
