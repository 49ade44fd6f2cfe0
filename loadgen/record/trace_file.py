"""The file that `concurrency_models.run --trace` writes, read."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from loadgen.record.number import Count
from loadgen.record.trace import ServerTrace, Stay

_VERSION = 1


@dataclass(frozen=True, slots=True)
class _Last:
    ended: Count
    clients: Count


def read_trace(file: Path) -> ServerTrace | None:
    """What a server of ours has written; None where it has not, or in another version's words.

    A line that is damaged, as by a full disk, is passed over.
    """
    try:
        first, *others = file.read_bytes().splitlines()
        began = msgspec.json.decode(first)
        if began["version"] != _VERSION:
            return None
        trace = msgspec.convert(began, ServerTrace)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    stays = []
    for line in others:
        with suppress(msgspec.MsgspecError):
            if b'"client"' in line:
                stays.append(msgspec.json.decode(line, type=Stay))
            else:
                last = msgspec.json.decode(line, type=_Last)
                trace = replace(trace, ended=last.ended, clients=last.clients)
    return replace(trace, stays=tuple(stays))
