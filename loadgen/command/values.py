"""Types for argparse: what the text of one option means, or a line that says what to write."""

import argparse
import difflib
import math
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from loadgen.cluster.address import AddressError, ClusterAddress
from loadgen.cluster.address import parse as parse_cluster
from loadgen.cluster.placement import Tls
from loadgen.judge.rates import bound_of
from loadgen.judge.requirement import RequirementError
from loadgen.judge.requirement import parse as parse_requirement
from loadgen.plan.endpoint import Endpoint

Value = TypeVar("Value")

_ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.?)", re.DOTALL)
_SIZE = re.compile(r"(\d+)\s*([KMG]?)(?:i?B)?", re.IGNORECASE)
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that a word was probably meant to be, None when none is like it."""
    found = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return found[0] if found else None


def meant(word: str, choices: Iterable[str]) -> str | None:
    """What a word may have been meant to be: all choices it begins, else the nearest; None: none.

    Quoted, and ready to stand behind "did you mean".
    """
    known = list(choices)
    begun = [choice for choice in known if choice.startswith(f"{word}-")]
    close = nearest(word, known)
    found = begun or ([close] if close else [])
    return " or ".join(map(repr, found)) or None


def endpoint(text: str) -> Endpoint:
    """HOST:PORT, [HOST]:PORT, :PORT, or unix:PATH."""
    if text.startswith("unix:"):
        return Endpoint("unix", path=text.removeprefix("unix:"))
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an address; write HOST:PORT with a port from 1 to 65535, such as "
            "127.0.0.1:8008, or unix:PATH"
        )
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    return Endpoint("inet6" if ":" in host else "inet", host, int(port))


def cluster(text: str) -> ClusterAddress:
    """tcp://HOST:PORT, tls://HOST:PORT or local:N."""
    try:
        return parse_cluster(text)
    except AddressError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def tls(text: str) -> Tls:
    """CA,CERT,KEY: three files."""
    files = text.split(",")
    if len(files) != 3:
        raise argparse.ArgumentTypeError(f"{text!r} is not three files; write CA,CERT,KEY")
    for file in files:
        if not Path(file).is_file():
            raise argparse.ArgumentTypeError(f"there is no file {file!r}")
    return Tls(*files)


def whole(least: int) -> Callable[[str], int]:
    """A type for argparse: a whole number from `least` on."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} on")
        return value

    return convert


def percent(text: str) -> float:
    """A share in percent, such as 5%: 0.05."""
    try:
        return number(above=0)(text.strip().removesuffix("%")) / 100
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; write 5% or 2.5%") from None


def several(convert: Callable[[str], Value]) -> Callable[[str], tuple[Value, ...]]:
    """A type for argparse: values between commas, each once, in the order given."""

    def convert_all(text: str) -> tuple[Value, ...]:
        return tuple(dict.fromkeys(convert(part.strip()) for part in text.split(",")))

    return convert_all


def names(text: str) -> list[str]:
    """Names between commas, of which one more does no harm."""
    found = [name for part in text.split(",") if (name := part.strip())]
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} has no name; write NAME, or NAME,NAME")
    return found


def sweep(text: str) -> tuple[str, tuple[object, ...]]:
    """NAME=V,V: the option to vary, and its values."""
    kinds: dict[str, Callable[[str], object]] = {
        "size": size,
        "think": think,
        "rate": number(above=0),
    }
    name, _, values = text.partition("=")
    if name == "clients":
        raise argparse.ArgumentTypeError(f"write --clients {values or '1,10,100'} for that")
    if name not in kinds:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no sweep; write {', '.join(kinds)} with values, such as size=64,1KiB"
        )
    found = several(kinds[name])(values)
    if len(found) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} has one value; a curve takes two or more")
    return name, found


def number(above: float | None = None) -> Callable[[str], float]:
    """A type for argparse: a number of 0 or more, or above `above`."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        good = math.isfinite(value) and (value >= 0 if above is None else value > above)
        if not good:
            bound = "0 or more" if above is None else f"above {above:g}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {bound}")
        return value

    return convert


def size(text: str) -> int:
    """A number of bytes: 64, 64KiB, 1M."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write 64, 64KiB or 1MiB")
    return int(found[1]) * _UNITS[found[2].upper()]


def think(text: str) -> tuple[float, str]:
    """A think time and its distribution: "0.1", or "exp:0.1" for a mean of 0.1 s."""
    kind, colon, rest = text.partition(":")
    if not colon:
        return number()(text), "constant"
    if kind != "exp":
        raise argparse.ArgumentTypeError(f"{text!r} is not a think time; write 0.1 or exp:0.1")
    return number(above=0)(rest), "exponential"


def workers(text: str) -> int | None:
    """A number of workers; None for "auto", which depends on the load."""
    return None if text == "auto" else whole(1)(text)


def escaped(text: str) -> bytes:
    r"""Bytes written as text, with \r \n \t \0 \\ and \xNN as in Python."""
    parts, end = [], 0
    for found in _ESCAPE.finditer(text):
        parts.append(os.fsencode(text[end : found.start()]))
        end = found.end()
        code = found[1]
        if len(code) == 3:
            parts.append(bytes([int(code[1:], 16)]))
        elif code in _ESCAPES:
            parts.append(_ESCAPES[code])
        else:
            raise argparse.ArgumentTypeError(
                f"unknown escape \\{code} in {text!r}; there are \\r \\n \\t \\0 \\\\ and \\xNN"
            )
    parts.append(os.fsencode(text[end:]))
    return b"".join(parts)


def bound(text: str) -> object:
    """A `Requirement` that a search for a rate can keep within, for argparse."""
    try:
        return bound_of(text)
    except RequirementError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def requirement(text: str) -> object:
    """A `Requirement`, for argparse."""
    try:
        return parse_requirement(text)
    except RequirementError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
