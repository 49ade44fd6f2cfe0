"""What a report says and shows, as HTML; a browser looks at it elsewhere."""

import gzip
import importlib.util
import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from loadgen.command.main import main
from loadgen.judge.analysis import analyse
from loadgen.judge.registry import MESSAGES
from loadgen.plan.group import Group
from loadgen.record.files import RESULT_FILE, dumps
from loadgen.record.lesson import TableColumn
from loadgen.record.result import RankingOutcome, RecordError, Result
from loadgen.show.report import missing, write_report
from tests.report_results import HOSTILE, everything, lesson, outcome, page_of, sections_of
from tests.runs import PLAN, group_tally, plan, result, run, tally, trials

# The page


def report_on(path: Path, *results: Result) -> None:
    write_report([analyse(one) for one in results], path)


class Page(HTMLParser):
    """What matters of a page: its anchors and links, and every address that it would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loads: list[str] = []
        self.text = ""
        self.words: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._inside = tag
        self.ids.add(given.get("id", ""))
        if tag == "a":
            self.links.add(given["href"])
        elif tag == "figure":
            self.words.append(given["aria-label"])
        else:
            self.loads += [given[name] for name in ("src", "href") if name in given]

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the base class calls it so
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.text += data


@pytest.fixture(scope="module")
def html() -> str:
    return page_of(everything)


def test_the_page_loads_nothing_and_forbids_it(html: str) -> None:
    page = Page(html)
    assert [address for address in page.loads if not address.startswith("data:")] == []
    assert "default-src 'none'" in html


def test_every_link_leads_to_a_place_on_the_page(html: str) -> None:
    page = Page(html)
    assert page.links
    assert {link.removeprefix("#") for link in page.links} <= page.ids


def test_every_chart_has_words(html: str) -> None:
    page = Page(html)
    assert len(page.words) == sum(len(one.panels) for one in sections_of(everything()))
    assert all(len(words) > 40 for words in page.words)


def test_names_are_shown_as_they_are_and_never_as_markup(html: str) -> None:
    assert HOSTILE not in html
    assert HOSTILE in Page(html).text


def test_an_experiment_comes_first_with_its_claims(html: str) -> None:
    text = re.sub(r"\s+", " ", Page(html).text)
    told = outcome()
    assert html.index('<section id="experiment"') < html.index('<section id="verdict">')
    for word in ("✓ as expected", "! surprise", "? not measured", told.question, told.reading):
        assert word in text


def test_the_picture_of_an_experiment_stands_before_its_claims_and_all_else_is_folded() -> None:
    html = page_of(lesson)
    told = outcome()
    assert f"<h1>{told.name}: {told.question}</h1>" in html
    order = ["<h1>", "1 of 10 are served", "Expected:", "✓ as expected", told.reading]
    places = [html.index(part) for part in (*order, '<details class="fold"><summary>All figures')]
    assert places == sorted(places)
    assert html.count(told.question) == 2, "in the title of the window, and on the page"
    page = Page(html)
    assert {link.removeprefix("#") for link in page.links} <= page.ids
    fold = html[places[-1] :]
    assert 'id="latency"' in fold
    assert 'id="source"' in fold


def test_there_is_no_verdict_and_no_throughput_where_an_experiment_asks_for_none(
    tmp_path: Path,
) -> None:
    made = lesson()
    ids = Page(page_of(lesson)).ids
    assert {"verdict", "throughput"} & ids == set()
    told = made.experiment
    assert told is not None
    column, ranking = TableColumn("messages/s", MESSAGES), RankingOutcome("Which?", MESSAGES)
    asks = replace(made, experiment=replace(told, columns=(column,), ranking=ranking))
    assert {"verdict", "throughput"} <= Page(html_of(tmp_path, asks)).ids


def test_an_experiment_that_was_saved_without_its_table_has_all_its_figures_open(html: str) -> None:
    assert '<details class="fold" open><summary>All figures' in html


def test_lessons_of_several_experiments_stand_in_one_page(tmp_path: Path) -> None:
    made = [lesson(), result(run(plan=plan(Group(12)))), result(run(plan=plan(Group(13))))]
    html = html_of(tmp_path, *made)
    page = Page(html)
    assert {link.removeprefix("#") for link in page.links} <= page.ids
    assert html.index("1 of 10 are served") < html.index('id="A-latency"')
    assert "A-verdict" not in page.ids
    assert "B-verdict" in page.ids


def test_the_page_gives_the_command_and_the_machine(html: str) -> None:
    text = Page(html).text
    assert "python -m loadgen" in text
    assert everything().environment.kernel in text


def test_two_results_are_set_against_each_other(tmp_path: Path) -> None:
    one, other = result(*trials("thread", [200, 201])), result(*trials("thread", [400, 402]))
    report_on(tmp_path / "report.html", one, other)
    text = Page((tmp_path / "report.html").read_text()).text
    assert "thread: B has 2.00 times the messages/s of A" in text
    assert "better" in text


def test_results_of_unlike_loads_share_a_page_and_say_so(tmp_path: Path) -> None:
    one, other = result(run()), result(run(plan=plan(Group(10, size_bytes=128))))
    report_on(tmp_path / "report.html", one, other)
    assert "the loads differ" in Page((tmp_path / "report.html").read_text()).text


def html_of(path: Path, *results: Result) -> str:
    report_on(path / "report.html", *results)
    return (path / "report.html").read_text()


def test_many_unlike_results_stand_one_after_the_other(tmp_path: Path) -> None:
    told = outcome()
    every = [
        result(run(plan=plan(Group(10 + at))), experiment=replace(told, name=f"experiment-{at}"))
        for at in range(7)
    ]
    html = html_of(tmp_path, *every)
    title = "7 results: experiment-0, experiment-1, experiment-2, experiment-3, experiment-4"
    assert f"<h1>{title} and 2 more</h1>" in html
    page = Page(html)
    assert {"#A-result", "#G-result", "#G-latency"} <= page.links
    assert {link.removeprefix("#") for link in page.links} <= page.ids
    assert "against A" not in page.text
    assert "the loads differ" not in page.text
    assert html.index('id="A-latency"') < html.index('id="B-verdict"')


def test_of_three_results_those_alike_are_set_against_each_other(tmp_path: Path) -> None:
    one, other = result(*trials("thread", [200, 201])), result(*trials("thread", [400, 402]))
    text = Page(html_of(tmp_path, one, result(run(plan=plan(Group(99)))), other)).text
    assert "thread: C has 2.00 times the messages/s of A" in text
    assert "B against A" not in text


def test_reports_are_small_and_share_the_block_with_bokeh(html: str, tmp_path: Path) -> None:
    pages = [html, html_of(tmp_path, result(run()))]
    assert len(pages[0]) < 700_000
    blocks = [re.findall('type="application/gzip"[^>]*id="bokeh">([^<]*)<', one) for one in pages]
    assert blocks[0] == blocks[1]
    assert b"Bokeh" in gzip.decompress(b64decode(blocks[0][0]))


# The command


def test_the_command_writes_beside_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / RESULT_FILE).write_text(dumps(result(run(plan=PLAN)).to_json()))
    assert main(["report", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").stat().st_size > 100_000
    assert str(tmp_path / "report.html") in capsys.readouterr().err


def test_a_missing_result_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_without_bokeh_the_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "pip install -e '.[report]'" in (missing() or "")
    with pytest.raises(RecordError, match="pip install"):
        report_on(tmp_path / "report.html", result(run()))


def test_a_curve_comes_before_the_verdicts_of_its_loads(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    every = [
        replace(run(plan=plan(Group(clients))), tally=tally(group_tally(clients)))
        for clients in (10, 20)
    ]
    report_on(file, result(*every))
    html = file.read_text()
    assert html.index('<section id="curves">') < html.index('<section id="verdict">')
    assert html.index('<section id="verdict">') < html.index('<section id="throughput">')


def test_report_and_no_save_contradict_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--report", "--no-save"]) == 2
    assert "--no-save" in capsys.readouterr().err
