"""Latencies in the HdrHistogram V2 format, which standard tools read and plot.

Needs the `hdrhistogram` package (extra `hdr`). The file is a histogram log (.hlog): a line per row
and clock, tagged with both, values in nanoseconds.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from loadgen.judge.figures import clocks
from loadgen.judge.rows import Row
from loadgen.record.files import write
from loadgen.record.histogram import LARGEST_NS, Histogram
from loadgen.record.result import RecordError

# Two significant digits are what our own buckets hold; three keep theirs from adding to the error.
_DIGITS = 3
INSTALL = "python -m pip install -e"
"""What works in a clone: the kit is in no index, where its name may be anybody's."""
CLOCKS = ("latency_seconds", "response_seconds", "connect_seconds", "first_reply_seconds")


def missing() -> str | None:
    """What to install before anything can be exported, or None."""
    if find_spec("hdrh") is None:
        return f"exporting needs hdrhistogram; in the kit's folder: {INSTALL} '.[hdr]'"
    return None


def encode(histogram: Histogram) -> bytes:
    """One histogram as an HdrHistogram V2 payload: compressed, in base64."""
    from hdrh.histogram import HdrHistogram  # noqa: PLC0415 - an extra that most runs do without

    target = HdrHistogram(1, LARGEST_NS, _DIGITS)
    for low, high, times in histogram.buckets():
        target.record_value(max(1, (low + high) // 2), times)
    return bytes(target.encode())


def hlog(found: Sequence[Row], began_seconds: float) -> str:
    """A histogram log of every row's clocks; `began_seconds` is the Unix time of the first run.

    The format is that of HdrHistogram's HistogramLogWriter, version 1.3, with tags.
    """
    lines = [
        "#[Histogram log format version 1.3]",
        f"#[StartTime: {began_seconds:.3f} (seconds since epoch)]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    for row in found:
        counted = clocks(row.pooled)
        seconds = sum(row.measured("window_seconds"))
        for clock in CLOCKS:
            histogram = counted[clock]
            if histogram is None or not histogram.count:
                continue
            name = clock.removesuffix("_seconds")
            tag = f"{row.name} {name}".replace(",", ";").replace(" ", "_")
            longest = (histogram.max or 0.0) * 1e3  # in ms, as the log's writers do
            lines.append(
                f"Tag={tag},0.000,{seconds:.3f},{longest:.3f},{encode(histogram).decode()}"
            )
    return "\n".join(lines) + "\n"


def save(path: Path, found: Sequence[Row], began_seconds: float) -> None:
    """Write the histogram log to `path`. Raises RecordError."""
    if problem := missing():
        raise RecordError(problem)
    write(path, hlog(found, began_seconds))
