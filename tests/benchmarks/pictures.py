"""Redraws the READMEs' pictures in `.github/` from the results included with the lab.

    python tests/benchmarks/pictures.py

`report.png` needs playwright and a Chromium, which DQN_LAB_CHROMIUM may name.

`learning_curve.png` is `tests/benchmarks/results.py --figure`, from a sweep's own directory.
"""

import csv
import os
import re
import shutil
import tempfile
from pathlib import Path

from PIL import Image

from dqn_lab.analysis import load_shipped
from dqn_lab.analysis.report.write import write_report
from dqn_lab.cli.sweep import find_question
from dqn_lab.records import write_record, write_sweep

PICTURES = Path(__file__).parents[2] / ".github"
CURVES = ("replay", "target_interval", "target_network", "tutorial", "layer_norm", "n_step")
PAGE = "target_network"  # the question whose report is shown
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def make_sweep(directory, question):
    """Writes the results of a question as a sweep's directory."""
    runs, evaluations = load_shipped(question), load_shipped(question, table="evaluations")
    yaml = find_question(question).read_text(encoding="utf-8")
    asked, control = (re.search(rf"^{key}: (.*)$", yaml, re.MULTILINE)[1] for key in ("question", "control"))
    rows = dict(list(evaluations.groupby("run")))
    jobs = []
    for run in runs.to_dict("records"):
        path = directory / run["run"]
        write_record(path, {
            "status": "completed", "wall_seconds": None, "progress": {"step": run["final_step"]},
            "config": {"seed": run["seed"], "env": {"name": "gymnasium", "id": run["task"]}, "label": run["variant"]},
            "scores": {"final": {"return_mean": run["final_return"]}, "last_100": run["last_100"]},
        })  # fmt: skip
        with (path / "evaluations.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["step", "episode", "return_mean"])
            writer.writerows([step, 0, mean] for step, mean in rows[run["run"]][["step", "return_mean"]].to_numpy())
        jobs.append({"variant": run["variant"], "seed": run["seed"], "hash": "", "directory": run["run"]})
    seeds, variants = sorted(set(runs["seed"].tolist())), {label: [] for label in runs["variant"].cat.categories}
    write_sweep(directory, {
        "name": question, "question": asked, "command": f"python -m dqn_lab sweep {question}", "control": control,
        "metric": "final_return", "variants": variants, "seeds": seeds, "jobs": jobs,
    })  # fmt: skip


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
            make_sweep(Path(scratch) / question, question)
            report = write_report(Path(scratch) / question)
            shrink(report.index.parent / "figures" / "learning_curves.png", PICTURES / f"{question}.png")
            if question == PAGE:
                photograph(report.index, Path(scratch) / "report.png")
                shrink(Path(scratch) / "report.png", PICTURES / "report.png")
            print(f"{question}: {' '.join(report.answers.values())}", flush=True)


if __name__ == "__main__":
    main()
