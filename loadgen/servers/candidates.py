"""Which servers a comparison starts: the models under the interpreters, less those that cannot run.

What is left out has a line with its reason, and is left out before anything is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from concurrency_models.backends import MODELS, Model
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.servers.interpreters import Interpreter
from loadgen.servers.problem import TargetError


@dataclass(frozen=True)
class Candidate:
    """A model to start under an interpreter, and what to call it where several are told apart.

    `label` is what the record is to call it in place of the model; None for that.
    """

    model: str
    python: Interpreter
    name: str
    label: str | None = None


def choose(
    models: Sequence[str],
    named: Sequence[str],
    plan: Plan,
    pythons: Sequence[Interpreter],
    label: str | None = None,
) -> tuple[list[Candidate], list[str]]:
    """The servers to start for `models`, and a line for each reason to leave some out.

    A model that stands there several times is started as often, and its copies are numbered.
    `named` are those that were asked for by their own name and not as one of a group; `label` is a
    name to go by in place of a model's. Raises PlanError when one of those cannot take the plan,
    and TargetError when one cannot run under the only interpreter there is, or when nothing at all
    is left.
    """
    several = len(pythons) > 1
    able: list[Candidate] = []
    left_out: dict[str, list[str]] = {}
    for place, name in enumerate(models):
        if problem := _unfit(MODELS[name], plan):
            if name in named:
                raise PlanError(f"the model {name} cannot be used: {problem}")
            left_out.setdefault(problem, []).append(name)
            continue
        goes_by = label
        if models.count(name) > 1:
            goes_by = f"{label or name} #{models[: place + 1].count(name)}"
        for python in pythons:
            shown = f"{goes_by or name} {python.version}" if several else goes_by or name
            missing = python.missing.get(name)
            if missing is None:
                able.append(Candidate(name, python, shown, goes_by))
            elif name in named and not several:
                where = "here" if python.library is None else f"under Python {python.version}"
                raise TargetError(f"the model {name} cannot run {where}: {missing}")
            else:
                left_out.setdefault(missing, []).append(shown)
    said = [
        f"left out: {', '.join(dict.fromkeys(names))}: {reason}"
        for reason, names in left_out.items()
    ]
    if len(set(models)) < len(models):
        said.append("copies of one model (#1, #2) differ by chance alone: a control")
    if not able:
        raise TargetError(f"no server is left to start; {'; '.join(said)}")
    return able, said


def _unfit(model: Model, plan: Plan) -> str | None:
    """Why a model cannot take a plan, or None."""
    if plan.transport not in model.transports:
        able = ", ".join(one.name for one in MODELS.values() if plan.transport in one.transports)
        return f"--transport {plan.transport} is for models that need no connections ({able})"
    if plan.family not in model.families:
        return (
            f"it does not listen on --family {plan.family}, only on {' and '.join(model.families)}"
        )
    return None
