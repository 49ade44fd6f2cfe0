"""The JSON of a result."""

from loadgen.judge.document import summary
from tests.runs import result, rows, run, trials


def test_the_summary_has_intervals_and_null_without_one() -> None:
    several = summary(rows(result(*trials("thread", [200, 201, 199]))))[0]
    interval = several["estimates"]["messages_per_second"]
    assert interval["low"] < interval["mean"] < interval["high"]
    alone = summary(rows(result(run())))[0]["estimates"]["messages_per_second"]
    assert (alone["low"], alone["high"]) == (None, None)
