"""Redraws the READMEs' pictures in `.github/` from the results included with the lab.

    python tests/benchmarks/pictures.py

`report.png` needs playwright and a Chromium, which DQN_LAB_CHROMIUM may name.

`learning_curve.png` is `tests/benchmarks/results.py --figure`, from a sweep's own directory.
"""

import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image

from dqn_lab.analysis.report.write import write_report

PICTURES = Path(__file__).parents[2] / ".github"
CURVES = ("replay", "replay_mountain_car", "target_interval", "target_network", "tutorial", "layer_norm", "n_step")
PAGE = "target_network"  # the question whose report is shown
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def photograph(page, path):
    """Takes a picture of the top of a page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = os.environ.get("DQN_LAB_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1000, "height": 1100})
        tab.goto(page.as_uri())
        tab.screenshot(path=path)
        browser.close()


def shrink(picture, target):
    """Keeps 96 colours, which halves the size without a visible difference in drawings."""
    with Image.open(picture) as image:
        image.convert("RGB").quantize(96, dither=Image.Dither.NONE).save(target, optimize=True)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        for question in CURVES:
            report = write_report(question, out=Path(scratch) / question)
            shrink(report.index.parent / "figures" / "learning_curves.png", PICTURES / f"{question}.png")
            if question == PAGE:
                photograph(report.index, Path(scratch) / "report.png")
                shrink(Path(scratch) / "report.png", PICTURES / "report.png")
            print(f"{question}: {' '.join(report.answers.values())}", flush=True)


if __name__ == "__main__":
    main()
