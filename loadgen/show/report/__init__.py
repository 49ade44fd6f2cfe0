"""The report: a saved result, or several side by side, as one HTML page that needs no network.

`loads` says who stands under which load; a file per picture, such as `throughput` or `swimlanes`,
says as pure data (`panels`) what it shows; `sections` puts them in order, `charts` draws them with
Bokeh, `page` puts them into the page. Bokeh is an extra, imported only when a report is written.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from loadgen.judge.analysis import Analysis
from loadgen.record.files import write
from loadgen.record.result import RecordError
from loadgen.show.export import INSTALL

REPORT_FILE = "report.html"


def missing() -> str | None:
    """What to install before a report can be made, or None when nothing is missing."""
    if importlib.util.find_spec("bokeh") is None:
        return f"a report needs Bokeh; in the kit's folder: {INSTALL} '.[report]'"
    return None


def write_report(analyses: Sequence[Analysis], path: Path, only: str | None = None) -> None:
    """Write the report about one or more results to `path`, replacing what is there.

    `only` is the anchor of the one section that it is to have, without verdicts then.

    Raises RecordError when it cannot be made or written.
    """
    if problem := missing():
        raise RecordError(problem)
    from loadgen.show.report.page import page  # noqa: PLC0415 - only a report needs Bokeh

    write(path, page(analyses, only))
