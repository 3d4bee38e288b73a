"""The page in a browser without a window: no errors, no requests, and pictures that follow the controls."""

import os
import shutil

import pytest
from playwright import sync_api as playwright

from experiments.report import page
from tests.experiments.report import fake

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Where continuous integration has named a browser, that one must start.
PATH = os.environ.get("OSCNETS_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(PATH is None, reason=f"no browser to open the page in: none of {', '.join(NAMES)}")


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    page.write([fake.write_run(folder / "phases"), fake.write_waves(folder / "states")], folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as tool:
        chromium = tool.chromium.launch(executable_path=PATH, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser, html):
    """The page, opened from the file system; its errors, warnings and network requests fail the test."""
    context = browser.new_context(color_scheme="light", reduced_motion="no-preference")
    tab, troubles = context.new_page(), []
    tab.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("request", lambda request: troubles.append(request.url) if request.url != html.as_uri() else None)
    tab.goto(html.as_uri())
    tab.wait_for_selector("html[data-ready]", state="attached")
    yield tab
    context.close()
    assert [text for text in troubles if not text.startswith("data:")] == []


def viewer(tab, run):
    return tab.locator(f".viewer[data-run='{run}']")


def picture(view, kind):
    return view.locator(f"canvas.{kind}").evaluate("canvas => canvas.toDataURL()")


@pytest.mark.parametrize("run", [0, 1])
def test_the_slider_changes_the_pictures(tab, run):
    view = viewer(tab, run)
    slider = view.get_by_role("slider", name="Time step")
    before = {kind: picture(view, kind) for kind in ("field", "plot")}
    slider.fill("3")
    for kind, was in before.items():
        assert picture(view, kind) != was
    slider.fill("0")
    for kind, was in before.items():
        assert picture(view, kind) == was


def test_the_status_line_describes_the_moment(tab):
    view = viewer(tab, 0)
    view.get_by_role("slider").fill("4")
    status = view.locator(".status-line")
    expected = "Step 5 of 5: object 1: synchrony 1.00, mean phase 0.00 π; object 2: synchrony 1.00"
    assert status.text_content().startswith(expected)
    assert status.text_content().endswith("1.00 π apart.")
    assert status.get_attribute("aria-live") == "polite"
    assert view.get_by_role("slider").get_attribute("aria-valuetext") == "step 5 of 5"


def test_keys_move_through_time(tab):
    view = viewer(tab, 0)
    output, slider = view.locator("output"), view.get_by_role("slider")
    slider.focus()
    for key, step in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("End", 5), ("Home", 1)):
        tab.keyboard.press(key)
        assert output.text_content() == f"step {step} of 5"
    view.get_by_role("button", name="One step forward").press("Enter")
    assert output.text_content() == "step 2 of 5"
    view.get_by_role("combobox", name="Scene").press("ArrowDown")  # a list keeps its own keys
    assert output.text_content() == "step 2 of 5"


def test_play_runs_to_the_end_and_stops(tab):
    view = viewer(tab, 0)
    view.get_by_role("button", name="Play").click()
    assert view.locator(".status-line").get_attribute("aria-live") == "off"  # a screen reader must not read every frame
    view.get_by_text("step 5 of 5").first.wait_for()
    view.get_by_role("button", name="Play").wait_for()
    assert view.locator(".status-line").get_attribute("aria-live") == "polite"


def test_scene_channel_and_model_are_picked(tab):
    view = viewer(tab, 0)
    first = picture(view, "field")
    view.get_by_role("combobox", name="Scene").select_option(label="noise 1: digits 3 and 7")
    other = picture(view, "field")
    view.get_by_role("combobox", name="Channel").select_option(label="2 of 3")
    assert len({first, other, picture(view, "field")}) == 3
    waves = viewer(tab, 1)
    waves.get_by_role("combobox", name="Model").select_option("still")
    waves.get_by_text("This model has no dynamics").wait_for()
    assert waves.get_by_role("slider").is_disabled()


def test_theme(tab, browser, html):
    ground = "() => getComputedStyle(document.body).backgroundColor"
    button, light = tab.locator("#theme"), tab.evaluate(ground)
    states = picture(viewer(tab, 1), "field")
    button.click()
    assert tab.evaluate(ground) == light
    button.click()
    assert tab.evaluate(ground) != light
    assert picture(viewer(tab, 1), "field") != states  # canvases follow
    assert button.get_attribute("aria-label") == "Colours of the page: dark"
    dark = browser.new_page(color_scheme="dark")
    dark.goto(html.as_uri())
    assert dark.evaluate(ground) == tab.evaluate(ground)
    dark.close()


def test_figures_are_shown_and_have_a_description(tab):
    images = tab.locator("section#run0 .figures img")
    assert images.count() == 5
    assert images.first.get_attribute("alt") == "learning curves"
    assert all(images.nth(i).evaluate("image => image.decode().then(() => image.naturalWidth)") == 1 for i in range(5))


def test_tables_open(tab):
    details = tab.locator("section#run0 details", has_text="test: accuracy").first
    assert not details.locator("table").first.is_visible()
    details.locator("summary").first.click()
    assert details.get_by_text("0.510 ± 0.014").first.is_visible()


def test_every_control_and_picture_has_a_name(tab):
    nameless = tab.evaluate(
        """() => [...document.querySelectorAll('button, select, input, canvas, [role=region]')].filter(
            (node) => !(node.getAttribute('aria-label') || node.closest('label')?.textContent.trim()
                        || node.textContent.trim())).map((node) => node.outerHTML.slice(0, 90))"""
    )
    assert nameless == []
    ids = tab.evaluate("() => [...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))
