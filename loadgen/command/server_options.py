"""Servers of ours for a plan: which models, and what they are told so that they answer it."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from concurrency_models.backends import MODELS, forgotten_row
from loadgen.command.values import meant
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError

MODEL_GROUPS = ("core", "stdlib", "all")
ALIKE: Final = ("--family", "--transport", "--talk", "--framing", "--reply-prefix")
"""What a plan tells servers as well as clients."""
SERVER_OPTIONS: Final = "--server-options"


def models_of(names: Sequence[str]) -> list[str]:
    """The models that `--model` asks for, in the registry's order.

    Each is there once, or as often as it was asked for by its own name: copies of one model, which
    differ by chance alone. Raises PlanError for a name that there is none of, with what it may have
    been meant to be.
    """
    wanted = set()
    copies = Counter(names)
    for name in names:
        if name in MODEL_GROUPS:
            kinds = {"core": ("core",), "stdlib": ("core", "stdlib")}.get(name)
            wanted |= {one.name for one in MODELS.values() if kinds is None or one.group in kinds}
        elif name in MODELS:
            wanted.add(name)
        else:
            if forgotten := forgotten_row(name):
                raise PlanError(forgotten)
            near = meant(name, [*MODELS, *MODEL_GROUPS])
            hint = f"did you mean {near}?" if near else f"choose from {', '.join(MODELS)}"
            raise PlanError(f"there is no model {name!r}; {hint}")
    return [name for name in MODELS if name in wanted for _ in range(copies[name] or 1)]


def joined(words: Sequence[str]) -> list[str]:
    """The words of a command line, each `--server-options X` as `--server-options=X`.

    X is meant for somebody else's parser. Ours would take a single word that begins with a dash for
    an option of its own.
    """
    found: list[str] = []
    for place, word in enumerate(words):
        if word == "--":
            return [*found, *words[place:]]
        if found and found[-1] == SERVER_OPTIONS:
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def check_server_options(words: Sequence[str]) -> None:
    """Refuse, for servers alone, what their clients must have alike. Raises PlanError."""
    for word in words:
        option = word.partition("=")[0]
        if option in ALIKE:
            raise PlanError(
                f"{option} is for servers and clients alike; give it outside {SERVER_OPTIONS}"
            )


def server_options(plan: Plan, more: Sequence[str]) -> list[str]:
    """What a server of ours must be told so that it answers as the plan expects."""
    largest = max(group.size_bytes for group in plan.groups)
    options = ["--framing", plan.framing, "--reply-prefix", os.fsdecode(plan.reply_prefix)]
    usual = Plan(())
    for name in ("family", "transport", "talk"):
        if getattr(plan, name) != getattr(usual, name):
            options += [f"--{name}", getattr(plan, name)]
    if largest > 1024 * 1024:  # the server's own limit
        options += ["--max-message", str(largest)]
    if any(group.work is not None for group in plan.groups):
        options.append("--work")
    return [*options, *more]


def without_request(plan: Plan) -> Plan:
    """The same load for a server of ours, to which `--request` and `--reply` mean nothing."""
    groups = (replace(group, request=None, reply=None) for group in plan.groups)
    return replace(plan, groups=tuple(groups))
