"""Bytes that a saved plan holds as text.

JSON has no bytes. The text is what latin-1 makes of them: it loses none, and what is text anyhow
stays readable.
"""

from abc import ABC
from typing import TYPE_CHECKING

_CODING = "latin-1"

if TYPE_CHECKING:
    Octets = bytes
else:

    class Octets(ABC):  # noqa: B024 - a name for bytes, and nobody's base
        """How a field of bytes is annotated, so that the reader of a saved plan knows it from text.

        Its values are plain bytes; the class makes none of its own.
        """

    Octets.register(bytes)


def to_text(octets: bytes) -> str:
    """Bytes as the text that is saved."""
    return octets.decode(_CODING)


def from_text(text: str) -> bytes:
    """The bytes that `to_text` made this of. Raises ValueError for a text that it did not make."""
    return text.encode(_CODING)
