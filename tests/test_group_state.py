"""What the clients of one group count together: the timeline of a long run."""

import pytest

from loadgen.engine.group_state import GroupState
from loadgen.engine.share import Share
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record import tally


@pytest.mark.parametrize("ticks", [9, 10, 25, 95])
def test_a_steady_rate_is_a_level_timeline_however_long_it_gets(
    ticks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "TIMELINE_SLICES", 10)
    plan = Plan((Group(1),))
    state = GroupState(plan.groups[0], plan, Share(plan, Endpoint("inet")))
    state.open_window()
    for _ in range(ticks - 1):
        state.service.record(1000, 7)
        state.cut_slice()
    state.service.record(1000, 7)
    state.cut_last_slice(whole=True)
    line = state.tally.timeline
    in_slice = round(state.tally.timeline_slice_seconds / tally.TIMELINE_SLICE_SECONDS)
    assert len(line) < 10
    assert sum(line) == 7 * ticks
    assert set(line[:-1]) == {7 * in_slice}
    assert line[-1] <= 7 * in_slice * 1.5
