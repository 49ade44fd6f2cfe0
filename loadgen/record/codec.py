"""Records as JSON-able values and back, by the types of their fields.

msgspec knows dataclasses and what stands in them; what it does not know is written here. Reading is
for files of other versions and from other hands: what is missing takes its default, what is unknown
is passed over, and what is wrong is told with its path in the file.

Records have slots: in any other dataclass that it makes, msgspec leaves what is missing to the
class, and then doesn't find it when the record is written again.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, ValidationError

from loadgen.plan.octets import Octets, from_text
from loadgen.record.histogram import BUCKETS, SUB_BITS, Histogram
from loadgen.record.number import Count

T = TypeVar("T")


class SavedHistogram(Struct):
    """A histogram in a file, without its empty buckets: [index, count] of all others.

    `sub_bits` says what an index means; another layout is refused.
    """

    unit: Literal["ns"]
    sub_bits: Literal[8]
    buckets: list[tuple[Annotated[int, Meta(ge=0, lt=BUCKETS)], Count]]


def to_json(record: object) -> Any:
    """A record as values that `files.dumps` can write: JSON's own, tuples, and bytes."""
    return msgspec.to_builtins(record, builtin_types=(bytes,), enc_hook=_to_builtins)


def from_json(kind: type[T], data: object) -> T:
    """The record of this kind that `data`, values as JSON has them, stands for.

    Raises ValueError, in half a sentence that ends with the path of what is wrong.
    """
    return msgspec.convert(data, kind, dec_hook=_from_builtins)


def _to_builtins(value: object) -> object:
    if isinstance(value, Histogram):
        return msgspec.to_builtins(SavedHistogram("ns", SUB_BITS, list(value.nonzero())))
    if isinstance(value, Mapping):  # of another kind than dict
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in JSON")


def _from_builtins(kind: type[Any], value: Any) -> object:
    if kind is Octets:
        if not isinstance(value, str):
            raise ValueError("Expected text for bytes")
        return from_text(value)
    if kind is Histogram:
        try:
            saved = msgspec.convert(value, SavedHistogram)
        except ValidationError as error:
            # As it is, it would tell its own path and not where in the file the histogram stands.
            raise ValueError(f"{error} of a histogram") from None
        histogram = Histogram()
        for index, count in saved.buckets:
            histogram.counts[index] = count
        return histogram
    raise NotImplementedError(f"{kind.__name__} has no form in JSON")
