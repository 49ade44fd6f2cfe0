"""What the text of an option means, and a line for whatever means nothing."""

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.command.values import endpoint, escaped, names, size, workers
from loadgen.plan.endpoint import Endpoint


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (r"PING\r\n", b"PING\r\n"),
        (r"\x00\xff\0", b"\x00\xff\x00"),
        (r"\\n\t", b"\\n\t"),
        ("ä", "ä".encode()),
        ("", b""),
    ],
)
def test_escapes(text: str, data: bytes) -> None:
    assert escaped(text) == data


def test_names_stand_between_commas() -> None:
    assert names("thread, process") == names("thread,,process,") == ["thread", "process"]
    for nothing in "", ",", " ,":
        with pytest.raises(argparse.ArgumentTypeError, match="has no name"):
            names(nothing)


@pytest.mark.parametrize("text", [r"\q", "\\", r"\x1", r"\xgg"])
def test_unknown_escapes_are_named(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="unknown escape"):
        escaped(text)


@given(st.binary(max_size=50))
def test_any_bytes_can_be_written(data: bytes) -> None:
    assert escaped("".join(f"\\x{byte:02x}" for byte in data)) == data


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8008", Endpoint("inet", "127.0.0.1", 8008)),
        ("localhost:80", Endpoint("inet", "localhost", 80)),
        (":80", Endpoint("inet", "127.0.0.1", 80)),
        ("[::1]:80", Endpoint("inet6", "::1", 80)),
        ("unix:/tmp/a b", Endpoint("unix", path="/tmp/a b")),
    ],
)
def test_endpoints(text: str, expected: Endpoint) -> None:
    assert endpoint(text) == expected


@pytest.mark.parametrize("text", ["", "8008", "host", "host:", "host:0", "host:65536", "host:x"])
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="HOST:PORT"):
        endpoint(text)


@pytest.mark.parametrize(
    ("text", "bytes_"), [("0", 0), ("64", 64), ("64B", 64), ("2k", 2048), ("1MiB", 1 << 20)]
)
def test_sizes(text: str, bytes_: int) -> None:
    assert size(text) == bytes_


def test_auto_leaves_a_core_to_the_server() -> None:
    assert workers("auto") is None
    assert workers("3") == 3
