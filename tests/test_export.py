"""Histograms in the format of HdrHistogram, read back with its own package."""

from pathlib import Path

import pytest

from loadgen.record.histogram import Histogram
from loadgen.record.result import RecordError
from loadgen.show import export
from tests.runs import result, rows, run, trials

hdrh_histogram = pytest.importorskip("hdrh.histogram", reason="the extra 'hdr' is not installed")
hdrh_log = pytest.importorskip("hdrh.log")


def test_percentiles_are_the_same_when_read_back() -> None:
    ours = Histogram()
    for step in range(5000):
        ours.record(1_000 + step * step * 40)
    theirs = hdrh_histogram.HdrHistogram.decode(export.encode(ours))
    assert theirs.get_total_count() == ours.count
    for percent in (0, 50, 90, 99, 99.9, 100):
        expected = ours.percentile(percent)
        assert expected is not None
        read = theirs.get_value_at_percentile(percent) / 1e9
        assert read == pytest.approx(expected, rel=2 / 1000)


def test_the_log_has_every_row_and_clock(tmp_path: Path) -> None:
    file = tmp_path / "latencies.hlog"
    found = rows(result(*trials("thread", [200, 210]), run("process")))
    export.save(file, found, 1_700_000_000.0)
    lines = [line for line in file.read_text().splitlines() if line.startswith("Tag=")]
    tags = {line.split(",")[0] for line in lines}
    assert {"Tag=thread_latency", "Tag=process_connect", "Tag=thread_first_reply"} <= tags
    reader = hdrh_log.HistogramLogReader(str(file), hdrh_histogram.HdrHistogram(1, 1 << 50, 3))
    counts = []
    while (interval := reader.get_next_interval_histogram()) is not None:
        counts.append(interval.get_total_count())
    reader.close()
    assert sum(counts) >= 4100 + 2000  # messages of both, beside connects and first replies
    assert len(counts) == len(lines)


def test_what_nobody_measured_has_no_line() -> None:
    found = rows(result(run()))
    found[0].pooled.service.clear()
    assert "thread_latency" not in export.hlog(found, 0.0)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot write"):
        export.save(tmp_path / "missing" / "x.hlog", rows(result(run())), 0.0)
