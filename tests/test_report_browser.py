"""A report in a real browser: it draws, its legends hide, it fits a phone, and it asks for nothing.

Chromium runs headless with a profile of its own. Without it and its driver these tests skip.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from loadgen.judge.analysis import analyse
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.files import read_result
from loadgen.show.report import write_report
from tests.report_results import everything, lesson, page_of
from tests.runs import result, run
from tests.traces import two_in_turn

REFERENCE = Path(__file__).parent.parent / "results" / "reference"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
DESKTOP = (1280, 800)
PROJECTOR = (1280, 720)
PHONE = (390, 844)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="needs a browser: apt-get install chromium chromium-driver",
)

IDLE = """
return window.Bokeh !== undefined && Bokeh.documents.length > 0
    && Bokeh.documents.every((one) => one.is_idle)
"""
# Per figure of the page: how many of its pixels have a colour, black and greys not counted.
COLORED = """
const canvases = (node) => [...(node.shadowRoot ? node.shadowRoot.children : []), ...node.children]
    .flatMap((one) => one.tagName === "CANVAS" ? [one] : canvases(one))
return [...(arguments[0] || document).querySelectorAll("figure")].map((figure) => {
  let colored = 0
  for (const canvas of canvases(figure)) {
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
    for (let at = 0; at < data.length; at += 4) {
      const [red, green, blue] = [data[at], data[at + 1], data[at + 2]]
      if (data[at + 3] > 0 && Math.max(red, green, blue) - Math.min(red, green, blue) > 60) {
        colored += 1
      }
    }
  }
  return colored
})
"""
# How large the letters of an experiment's picture are, in pixels.
LETTERS = """
return [...document.querySelectorAll(".picture :is(.part, .case, .value, .ruler, .states, .note)")]
    .map((one) => parseFloat(getComputedStyle(one).fontSize))
"""
VISIBLE = """
return arguments[0].map((id) =>
  Bokeh.documents.map((one) => one.get_model_by_id(id)).find((model) => model !== null).visible)
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A headless Chromium that records its console and every request."""
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report with every kind of chart, as a file."""
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page_of(everything))
    return path.as_uri()


def log(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    """The entries of a log since the last call."""
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return entries


def requests(browser: Chrome) -> list[str]:
    """Every address that was asked for since the last call."""
    events: list[dict[str, Any]] = [
        json.loads(entry["message"])["message"] for entry in log(browser, "performance")
    ]
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]


@dataclass(frozen=True)
class Visit:
    """A page as it stands in the browser, and what was heard while it loaded."""

    browser: Chrome
    address: str
    width: int
    complaints: list[str]
    asked_for: list[str]


@pytest.fixture(scope="module", params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def visit(browser: Chrome, address: str, request: pytest.FixtureRequest) -> Visit:
    """The report at one size of window, with every chart drawn."""
    browser.get("about:blank")
    log(browser, "browser")
    log(browser, "performance")
    resize(browser, request.param)
    browser.get(address)
    wait_until_drawn(browser)
    loud = ("SEVERE", "WARNING")
    complaints = [one["message"] for one in log(browser, "browser") if one["level"] in loud]
    return Visit(browser, address, request.param[0], complaints, requests(browser))


def resize(browser: Chrome, size: tuple[int, int]) -> None:
    """Pretend a screen of that size; a window of Chromium is never narrower than 500 pixels."""
    width, height = size
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE},
    )


def open_all(browser: Chrome) -> None:
    """Open what is folded."""
    for fold in browser.find_elements(By.TAG_NAME, "details"):
        browser.execute_script("arguments[0].open = true", fold)


def wait_until_drawn(browser: Chrome) -> None:
    WebDriverWait(browser, 60).until(lambda driver: driver.execute_script(IDLE))


def test_nothing_is_complained_of(visit: Visit) -> None:
    assert visit.complaints == []


def test_nothing_is_asked_of_any_network(visit: Visit) -> None:
    assert visit.address in visit.asked_for
    inside = ("file:", "data:", "blob:")
    assert [url for url in visit.asked_for if not url.startswith(inside)] == []


def test_every_chart_is_drawn(visit: Visit) -> None:
    colored = visit.browser.execute_script(COLORED)
    assert len(colored) > 10
    # A line with its markers has some hundreds of coloured pixels; axes and words have none.
    assert min(colored) > 100


def test_nothing_reaches_beyond_the_edge(visit: Visit) -> None:
    assert reaches(visit.browser) <= visit.width


def reaches(browser: Chrome) -> float:
    """How far to the right anything on the page reaches, all folds open, in pixels.

    What is in a box that scrolls by itself counts as far as the box.
    """
    open_all(browser)
    return float(
        browser.execute_script(
            "const parts = [...document.querySelectorAll('body *')]"
            ".filter((one) => one.closest('.scroll > *') === null);"
            "return Math.max(document.documentElement.scrollWidth,"
            "...parts.map((one) => one.getBoundingClientRect().right))"
        )
    )


@pytest.mark.parametrize("name", ["gil-duel", "slow-reader"])
def test_a_reference_report_fits_a_phone(browser: Chrome, tmp_path: Path, name: str) -> None:
    write_report([analyse(read_result(REFERENCE / name))], tmp_path / "report.html")
    resize(browser, PHONE)
    browser.get((tmp_path / "report.html").as_uri())
    open_all(browser)  # an experiment's charts are drawn when they are asked for
    wait_until_drawn(browser)
    assert reaches(browser) <= PHONE[0]


def test_charts_of_unlike_results_are_drawn_when_asked_for(browser: Chrome, tmp_path: Path) -> None:
    unlike = [result(run(plan=Plan((Group(10, size_bytes=size),)))) for size in (1, 2, 3)]
    write_report([analyse(one) for one in unlike], tmp_path / "report.html")
    resize(browser, PHONE)
    browser.get((tmp_path / "report.html").as_uri())
    WebDriverWait(browser, 60).until(lambda one: one.execute_script("return 'Bokeh' in window"))
    assert browser.execute_script("return Bokeh.documents.length") == 0
    link = browser.find_element(By.CSS_SELECTOR, "a[href='#B-latency']")
    browser.execute_script("arguments[0].click()", link)
    wait_until_drawn(browser)
    folds = browser.find_elements(By.CSS_SELECTOR, ".fold")
    assert [fold.get_property("open") for fold in folds] == [False, True, False]
    assert min(browser.execute_script(COLORED, folds[1])) > 100
    assert reaches(browser) <= PHONE[0]


@pytest.mark.parametrize(
    "broken",
    ["delete window.DecompressionStream", "window.atob = () => 'no gzip'"],
    ids=["old browser", "broken file"],
)
def test_without_charts_a_sentence_says_why(browser: Chrome, address: str, broken: str) -> None:
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": broken})
    try:
        browser.get(address)
        sentence = browser.find_element(By.ID, "uncharted")
        WebDriverWait(browser, 60).until(lambda _: sentence.is_displayed())
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    assert "2023 or later" in sentence.text
    assert browser.find_element(By.ID, "verdict").is_displayed()
    assert not browser.find_element(By.TAG_NAME, "figure").is_displayed()


def test_a_name_with_markup_or_formulas_is_only_a_name(visit: Visit) -> None:
    find = "return document.querySelectorAll('main b').length"
    assert visit.browser.execute_script(find) == 0
    assert "$$x^2$$ & co" in visit.browser.find_element(By.ID, "verdict").text


@pytest.mark.parametrize("visit", [DESKTOP], indirect=True, ids=["desktop"])
def test_a_click_in_the_legend_hides_a_series_and_another_shows_it(visit: Visit) -> None:
    browser = visit.browser
    buttons = browser.find_elements(By.CSS_SELECTOR, ".legend button")
    assert len(buttons) > 9
    for button in buttons:
        browser.execute_script("arguments[0].click()", button)
        assert button.get_dom_attribute("aria-pressed") == "false"
        assert set(browser.execute_script(VISIBLE, models_of(button))) == {False}
    wait_until_drawn(browser)
    colored = browser.execute_script(COLORED)
    legends = browser.execute_script(
        "return [...document.querySelectorAll('figure')]"
        ".map((one) => one.closest('section').querySelector('.legend') !== null)"
    )
    # With all its series hidden a chart has no colour left.
    assert {ink for ink, hides in zip(colored, legends, strict=True) if hides} == {0}
    for button in buttons:
        browser.execute_script("arguments[0].click()", button)
        assert set(browser.execute_script(VISIBLE, models_of(button))) == {True}


def models_of(button: WebElement) -> list[str]:
    """The ids of the marks that a button of a legend shows and hides."""
    models = (button.get_dom_attribute("data-models") or "").split()
    assert models, button.text
    return models


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_lanes_are_drawn_and_fit(browser: Chrome, tmp_path: Path, size: tuple[int, int]) -> None:
    write_report([analyse(result(two_in_turn()))], tmp_path / "report.html", only="running")
    resize(browser, size)
    browser.get((tmp_path / "report.html").as_uri())
    wait_until_drawn(browser)
    assert min(browser.execute_script(COLORED)) > 1000
    assert reaches(browser) <= size[0]
    assert browser.find_elements(By.ID, "verdict") == []


@pytest.mark.parametrize("size", [PROJECTOR, PHONE], ids=["projector", "phone"])
def test_an_experiment_leads_with_a_picture_that_is_read_from_afar(
    browser: Chrome, tmp_path: Path, size: tuple[int, int]
) -> None:
    (tmp_path / "report.html").write_text(page_of(lesson))
    resize(browser, size)
    browser.get((tmp_path / "report.html").as_uri())
    WebDriverWait(browser, 60).until(lambda one: one.execute_script("return 'Bokeh' in window"))
    first = browser.find_element(By.CSS_SELECTOR, ".picture .bar")
    assert first.is_displayed()
    assert first.rect["y"] + first.rect["height"] < size[1], "on the first screen"
    letters = browser.execute_script(LETTERS)
    assert min(letters) >= (18 if size == PROJECTOR else 17)
    widths = [bar.rect["width"] for bar in browser.find_elements(By.CSS_SELECTOR, ".picture .bar")]
    assert widths[1] == pytest.approx(10 * widths[0], abs=2)
    rails = [rail.rect for rail in browser.find_elements(By.CSS_SELECTOR, ".picture .rail")]
    assert len({round(rail["x"]) for rail in rails}) == 1, "bars of all parts begin at one place"
    middles = [
        (one.rect["x"] + one.rect["width"] / 2 - rails[0]["x"] - 2) / (rails[0]["width"] - 2)
        for one in browser.find_elements(By.CSS_SELECTOR, ".picture .whisker")
    ]
    assert middles == pytest.approx([0.5 / 0.6, 0.25 / 0.6], abs=0.003)
    lanes = browser.find_elements(By.CSS_SELECTOR, ".stairs .lane")
    assert min(lane.rect["height"] for lane in lanes) >= 5
    assert not browser.find_element(By.ID, "latency").is_displayed()
    assert reaches(browser) <= size[0]
    wait_until_drawn(browser)
    assert min(browser.execute_script(COLORED)) > 100


def test_an_experiments_picture_needs_no_script(browser: Chrome, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page_of(lesson))
    resize(browser, PROJECTOR)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((tmp_path / "report.html").as_uri())
        assert browser.find_element(By.CSS_SELECTOR, ".picture .bar").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
