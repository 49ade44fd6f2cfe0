"""Types for numbers of a saved result, as narrow as what they count.

A file that has been tampered with, or damaged, is refused as it is read, with the place; no
arithmetic runs into it later. Beyond reading, a Count is an int like any other.
"""

from typing import Annotated

from msgspec import Meta

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
