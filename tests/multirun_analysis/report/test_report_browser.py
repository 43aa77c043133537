"""The page in a browser: it works offline, sorts, filters, explains, and fits a phone."""

import shutil

import pytest

from multirun_analysis import write_report

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium"),
]


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(results, tmp_path_factory):
    return write_report(results, tmp_path_factory.mktemp("browser")).as_uri()


@pytest.fixture
def show(browser, address):
    """Open the page at a width; fail at the end if it complained or asked for anything."""
    troubles, pages = [], []

    def opened(width):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text))
        page.on("request", lambda request: troubles.append(request.url))
        page.goto(address)
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()
    assert [one for one in troubles if one != address and not one.startswith("data:")] == []


def names(page):
    rows = page.locator("#leaderboard tbody tr:visible th")
    return [text.strip() for text in rows.all_inner_texts()]


def test_a_heading_sorts_by_value_both_ways_and_missing_values_stay_last(show):
    page = show(1280)
    seconds = page.locator("#leaderboard thead button", has_text="seconds")
    seconds.click()
    first = names(page)
    seconds.click()
    assert first[0] == "finetune"
    assert first[-2:] == names(page)[-2:] == ["gold", "original"]
    assert names(page)[-3] == "finetune"


def test_a_text_filters_rows_and_a_box_hides_the_yardsticks(show):
    page = show(1280)
    page.locator("#leaderboard input[type=search]").fill("scrub")
    assert names(page) == ["scrub (alpha=0.5)", "scrub (alpha=0.9)"]
    assert page.locator("#leaderboard output").inner_text() == "2 of 8"
    page.locator("#leaderboard input[type=search]").fill("")
    page.locator("#leaderboard input[type=checkbox]").uncheck()
    assert "identity" not in names(page)
    assert "finetune" in names(page)


def test_a_method_leads_to_its_trials(show):
    page = show(1280)
    assert not page.locator("#trials-0-finetune table").first.is_visible()
    page.locator("#leaderboard a", has_text="finetune").click()
    assert page.locator("#trials-0-finetune table").first.is_visible()


def test_cells_and_marks_explain_themselves(show):
    page = show(1280)
    page.locator("#leaderboard tbody td[data-tip]").first.hover()
    assert "95 % interval" in page.locator("#tip").inner_text()
    page.locator("#metrics svg .tip").first.focus()
    assert "forget/accuracy" in page.locator("#tip").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("#tip").is_visible()


@pytest.mark.parametrize("width", [360, 390, 768, 1280, 1920])
def test_nothing_but_tables_is_wider_than_the_screen(show, width):
    page = show(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").is_visible()


def test_it_is_dark_text_on_white_also_for_who_likes_it_dark(show):
    page = show(1280)
    page.emulate_media(color_scheme="dark")
    style = "getComputedStyle(document.body)"
    assert page.evaluate(f"{style}.backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(f"{style}.color") == "rgb(31, 41, 51)"


def test_a_print_has_no_controls_and_nothing_cut_off(show):
    page = show(718)  # A4 less its margins
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert not page.locator("input[type=search]").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
