"""Work that a message may ask for: its results, its bounds, and that nothing makes it raise."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concurrency_models.work import KINDS, PIECE_KIB, perform


@pytest.mark.parametrize(
    ("message", "result"),
    [
        (b"fib 0", b"0"),
        (b"fib 1", b"1"),
        (b"fib 10", b"55"),
        (b"fib 0020", b"6765"),
        (b"sha256 0", hashlib.sha256(b"").hexdigest().encode()),
        (b"sha256 3", hashlib.sha256(bytes(3072)).hexdigest().encode()),
        (b"sleep 0", b"0"),
        (b"sleep 1", b"1"),
    ],
)
def test_work_is_done(message: bytes, result: bytes) -> None:
    assert perform(message) == result


@pytest.mark.parametrize("message", [b"", b"hello", b"FIB 3", b"fibonacci 3", b" fib 3", b"\xff 3"])
def test_a_message_that_asks_for_no_work_stays_as_it_is(message: bytes) -> None:
    assert perform(message) == message


@pytest.mark.parametrize(
    "argument", [b"", b"-1", b"1.5", b"ten", b"33", b"9" * 5000, b"1 2", b"0x3", b"\xb2", b"3\n"]
)
def test_work_out_of_bounds_is_answered_with_the_bounds(argument: bytes) -> None:
    assert perform(b"fib " + argument) == b"fib takes a whole number from 0 to 32 (as n)"


@pytest.mark.parametrize("name", KINDS)
def test_one_more_than_the_largest_number_is_out_of_bounds(name: str) -> None:
    kind = KINDS[name]
    answer = perform(f"{name} {kind.largest + 1}".encode())
    assert answer == f"{name} takes a whole number from 0 to {kind.largest} ({kind.unit})".encode()


@given(st.sampled_from(["fib", "sha256", "sleep"]), st.binary().filter(lambda b: not b.isdigit()))
def test_no_argument_makes_it_raise(name: str, argument: bytes) -> None:
    assert b"takes a whole number" in perform(name.encode() + b" " + argument)


@pytest.mark.parametrize(
    "message", [b"fib 3", b"fib 22", b"sha256 0", b"sha256 1", b"sha256 %d" % (3 * PIECE_KIB + 1)]
)
def test_work_in_pieces_comes_to_the_same(message: bytes) -> None:
    signs: list[None] = []
    assert perform(message, lambda: signs.append(None)) == perform(message)
    assert bool(signs) is (message != b"sha256 0")


def test_work_that_takes_long_gives_a_sign_often() -> None:
    signs: list[None] = []
    perform(b"fib 22", lambda: signs.append(None))
    assert len(signs) > 10
