"""The page in a real Chromium: desktop and phone, light and dark."""

import os
import shutil

import pytest

from dqn_lab.analysis.report.write import write_report

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api", reason='needs a browser: pip install -e ".[browser]"')

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser():
    """Starts the Chromium that DQN_LAB_CHROMIUM names, or else playwright's or the system's."""
    system = next((path for name in NAMES if (path := shutil.which(name))), None)
    with sync_api.sync_playwright() as playwright:
        for path in (os.environ.get("DQN_LAB_CHROMIUM"), None, system):
            try:
                chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            except sync_api.Error:
                continue
            yield chromium
            chromium.close()
            return
    pytest.skip("needs a Chromium: `playwright install chromium`, or DQN_LAB_CHROMIUM=/path/to/one")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_opens_clean_fits_its_width_and_begins_with_the_answer(browser, sweep, size, scheme):
    report = write_report(sweep)
    problems, requests = [], []
    page = browser.new_page(viewport=size, color_scheme=scheme)
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.index.as_uri())
    assert problems == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in requests if url.startswith("file:")]) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    answer = page.locator(".answer").bounding_box()
    assert answer["y"] >= 0
    assert answer["y"] + answer["height"] <= size["height"]
    wide, narrow = (page.locator(f"#learning_curves .{name}").is_visible() for name in ("wide", "narrow"))
    assert (wide, narrow) == ((True, False) if size is DESKTOP else (False, True))
    page.close()


def test_dark_and_light_differ_and_both_can_be_read(browser, sweep):
    """WCAG's contrast with the background is at least 4.5 for text and 3 for a line's colour."""
    report = write_report(sweep)
    papers = []
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport=DESKTOP, color_scheme=scheme)
        page.goto(report.index.as_uri())
        names = page.evaluate(
            "Array.from(document.styleSheets[0].cssRules[0].style).filter(name => name.startsWith('--'))"
        )
        colours = page.evaluate(
            "names => Object.fromEntries(names.map(name => [name, getComputedStyle(document.body)"
            ".getPropertyValue(name).trim()]))",
            names,
        )
        paper = colours.pop("--paper")
        papers.append(paper)
        colours.pop("--grid")
        for name, colour in colours.items():
            assert contrast(colour, paper) >= (4.5 if name in ("--ink", "--soft") else 3), (scheme, name)
        drawn = page.evaluate("getComputedStyle(document.querySelector('#learning_curves .wide text')).fill")
        assert drawn in {"rgb({}, {}, {})".format(*channels(colour)) for colour in colours.values()}
        page.close()
    assert papers[0] != papers[1]


def channels(colour):
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def contrast(first, second):
    """Computes WCAG 2's contrast ratio."""

    def luminance(colour):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in channels(colour))
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_the_page_prints_on_white_with_everything_unfolded(browser, sweep):
    report = write_report(sweep)
    page = browser.new_page(viewport=DESKTOP, color_scheme="dark")
    page.goto(report.index.as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("#learning_curves .wide").is_visible()
    assert page.locator("details tbody tr").first.is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()


def test_every_file_that_the_page_links_to_is_there(browser, sweep):
    report = write_report(sweep)
    page = browser.new_page()
    page.goto(report.index.as_uri())
    links = page.eval_on_selector_all("a", "all => all.map(link => link.getAttribute('href'))")
    assert len(links) > 20
    assert [link for link in links if not (report.index.parent / link).is_file()] == []
    page.close()


LABELS = {"x": ({},), "the last of them, wide letters: mmmm MMMM wwww": ({"target.interval": 1},),
          "열 에피소드마다 복사하는 목표 신경망": ({"target.interval": 100},)}  # fmt: skip


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("width", [1280, 700, 390])
def test_no_label_is_cut_and_no_table_is_too_wide(browser, make, tmp_path, width, count):
    """Two variants are named beside their lines, three above their plots; tables of results never scroll sideways."""
    variants = {label: own[0] for label, own in list(LABELS.items())[:count]}
    directory = make.sweep(tmp_path / "labels", list(variants.values()), range(5), make.noisy)
    prefixes = {label: ",".join(f"{k}={v}" for k, v in own.items()) or "plain" for label, own in variants.items()}
    report = write_report(make.declare(directory, prefixes, question="목표?", control="x", seeds=range(5)))
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(report.index.as_uri())
    cut = page.evaluate(
        "() => [...document.querySelectorAll('svg')].filter(svg => svg.clientWidth).flatMap(svg => {"
        "const all = svg.getBoundingClientRect();"
        "return [...svg.querySelectorAll('text')].filter(text => {const own = text.getBoundingClientRect();"
        "return own.left < all.left - 1 || own.right > all.right + 1}).map(text => text.textContent)})"
    )
    assert cut == []
    wide = page.evaluate(
        "() => [...document.querySelectorAll('.numbers .scroll')].filter(each => each.scrollWidth > each.clientWidth)"
        ".map(each => each.getAttribute('aria-label'))"
    )
    assert wide == []
    page.close()


def test_what_is_copied_from_the_page_has_no_invisible_character(browser, make, tmp_path):
    """A zero-width space in an override would make the pasted command fail."""
    make.sweep(tmp_path / "grid", [{"target.interval": value} for value in (1, 10)], range(5), make.noisy)
    page = browser.new_page()
    page.goto(write_report(tmp_path / "grid").index.as_uri())
    text = page.evaluate("document.body.innerText")
    assert "target.interval=10" in text
    assert "\u200b" not in text
    page.close()
