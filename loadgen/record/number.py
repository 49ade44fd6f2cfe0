"""Types for numbers of a saved result, as narrow as what they count.

A file that has been tampered with, or damaged, is refused as it is read, with the place; no
arithmetic runs into it later. Beyond reading, a Count is an int like any other.

They are made when a record is first read or written: a load worker does neither, and msgspec is a
tenth of the memory that it begins with. What a worker imports has annotations in quotes therefore.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

if TYPE_CHECKING:
    from msgspec import Meta

    Count = int
else:

    def __getattr__(name: str) -> object:
        if name != "Count":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from msgspec import Meta  # noqa: PLC0415

        return Annotated[int, Meta(ge=0, le=2**63 - 1)]


def at_least(least: float) -> Meta:
    """What to annotate a number with that is no less."""
    from msgspec import Meta  # noqa: PLC0415

    return Meta(ge=least)
