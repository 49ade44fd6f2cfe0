"""The bytes that a group's clients send and those that must come back, made before the run.

Requests rotate over a ring of distinct payloads, so that a stale reply, or one meant for another
client, is caught by comparing bytes. The ring is bounded in bytes, whatever the size of a message
or the number of clients.
"""

from __future__ import annotations

import random

from concurrency_models.talk import GREETING, HEADER_SIZE, frame
from concurrency_models.work import perform
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan

# A power of two, so that the hot loop finds its place with one `&`. Two clients at different places
# of the ring never have the same message in flight; of 100 clients, few pairs share a place.
RING = 256
# Distinct requests kept per group; above that size, entries of the ring share payloads.
RING_BYTES = 4 * 1024 * 1024
# A frame that claims more than this beyond what was expected is no reply but another language.
STRANGE_EXCESS = 1024 * 1024
# No newline, so that every payload is one line under line framing too.
ALPHABET = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ."


class Messages:
    """One group's messages.

    `pairs`: RING pairs of (request, expected reply) as they stand on the wire; the request is empty
    where the server greets.
    `request_size`, `reply_size`: their sizes on the wire in bytes, the same for every pair.
    `payload_size`: bytes of a message and its answer together, without framing.
    """

    def __init__(self, group: Group, plan: Plan) -> None:
        self._framing = plan.framing
        if group.request is not None and group.reply is not None:
            self._framing = "fixed"
            self.pairs = [(group.request, group.reply)] * RING
            self.payload_size = len(group.request) + len(group.reply)
        elif plan.talk == "greet":
            self.pairs = [(b"", frame(plan.framing, GREETING))] * RING
            self.payload_size = len(GREETING)
        else:
            payloads = _payloads(group, plan.seed)
            answers = [plan.reply_prefix + _answer(group, payload) for payload in payloads]
            distinct = [
                (frame(plan.framing, payload), frame(plan.framing, answer))
                for payload, answer in zip(payloads, answers, strict=True)
            ]
            self.pairs = [distinct[place % len(distinct)] for place in range(RING)]
            self.payload_size = len(payloads[0]) + len(answers[0])
        self.request_size = len(self.pairs[0][0])
        self.reply_size = len(self.pairs[0][1])

    def reply_end(self, received: bytes | bytearray, seen: int = 0) -> int | None:
        """Where the first whole reply in `received` ends: None when it is not whole yet.

        The first `seen` bytes were looked at before, and held no end.
        Length and line framing say so themselves. Otherwise the expected size is all there is to go
        by. Returns -1 for a length that no reply of this server can have.
        """
        if self._framing == "length":
            if len(received) < HEADER_SIZE:
                return None
            end = HEADER_SIZE + int.from_bytes(received[:HEADER_SIZE], "big")
            if end > self.reply_size + STRANGE_EXCESS:
                return -1
        elif self._framing == "line":
            end = received.find(b"\n", seen) + 1
            if not end:
                return None if len(received) <= self.reply_size + STRANGE_EXCESS else -1
        else:
            end = self.reply_size
        return end if len(received) >= end else None


def _payloads(group: Group, seed: int) -> list[bytes]:
    """Distinct payloads of the group's size, as many as the ring holds and memory allows."""
    if group.work is not None:
        return [group.work.replace(":", " ").encode()]
    size = group.size_bytes
    wanted = max(2, min(RING, RING_BYTES // max(size, 1)))
    if size < 2:
        # There are only so many distinct payloads of so few bytes.
        wanted = min(wanted, len(ALPHABET) ** size)
    # Slices of one random text, since making random text anew for each large payload takes seconds.
    randomness = random.Random(f"{seed} {group.name}")
    letters = randomness.randbytes(size + wanted).translate(ALPHABET * (256 // len(ALPHABET)))
    return [_numbered(letters[place : place + size], place) for place in range(wanted)]


def _numbered(payload: bytes, place: int) -> bytes:
    """The payload with its place in the ring in front, which makes it distinct for certain."""
    if len(payload) < 2:
        return bytes(ALPHABET[place : place + len(payload)])
    return bytes([ALPHABET[place // 16], ALPHABET[place % 16]]) + payload[2:]


def _answer(group: Group, payload: bytes) -> bytes:
    """What the server answers to a message, without its prefix."""
    if group.work is None:
        return payload
    kind, _, argument = group.work.partition(":")
    # The answer to `sleep MS` is known without sleeping.
    return argument.encode() if kind == "sleep" else perform(payload)
