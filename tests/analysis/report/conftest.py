"""Writes runs with what a report needs, without training."""

import copy
import csv
import html
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from dqn_lab.analysis.figures.style import Rendered
from dqn_lab.cli import main

CONFIG = {
    "seed": 0,
    "episodes": None,
    "steps": 8000,
    "discount": 0.99,
    "display": "none",
    "env": {"name": "gymnasium", "id": "CartPole-v1"},
    "target": {"name": "periodic", "interval": 10, "unit": "episodes"},
    "buffer": {"name": "uniform", "capacity": 50000, "n_step": 1},
    "logger": {"csv": {"name": "csv"}},
}
COMMAND = "python -m dqn_lab train -m target.interval=1,10 seed=range(4)"
BLANK = Rendered(svg="<svg/>", png=b"", inline={"wide": "<svg/>", "narrow": "<svg/>"}, missing="")
EPISODES = ["episode", "step", "return", "length", "epsilon", "updates", "loss", "q_value"]
EVALUATIONS = ["step", "episode", "return_mean", "return_std", "return_min", "return_max", "episodes"]


def configure(**changes):
    """Returns the configuration with some dotted keys changed."""
    config = copy.deepcopy(CONFIG)
    for key, value in changes.items():
        *path, last = key.split(".")
        place = config
        for part in path:
            place = place[part]
        place[last] = value
    return config


def write_run(directory, config, final, *, status="completed", steps=8000, num_evaluations=8, **record):
    """Writes a run's directory, with a curve that rises to its final return."""
    directory.mkdir(parents=True)
    scores = {"final": {"return_mean": final}, "last_100": 0.8 * final, "selected": {"return_mean": final + 5}}
    versions = {"dqn_lab": "0.1.0", "python": "3.11.7", "torch": "2.13.0"}
    (directory / "run.json").write_text(
        json.dumps(
            {"status": status, "seed": config["seed"], "engine": {"name": "fused"}, "config": config,
             "command": COMMAND, "started": "2026-11-22T22:49:50+00:00",
             "host": "bench", "git": {"commit": "abc123", "changed": False},
             "versions": versions, "wall_seconds": 12.5, "progress": {"step": steps, "episode": 80, "updates": steps},
             **({"scores": scores} if status == "completed" else {}), **record}
        )
    )  # fmt: skip
    at = np.linspace(steps / num_evaluations, steps, num_evaluations)
    values = final * (1 - np.exp(-4 * at / steps)) / (1 - np.exp(-4))
    with (directory / "evaluations.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(EVALUATIONS)
        writer.writerows(
            [int(step), int(step) // 100, value, 1.0, 0.0, 500.0, 10] for step, value in zip(at, values, strict=True)
        )
    with (directory / "episodes.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(EPISODES)
        writer.writerow([0, 100, 20.0, 100, 1.0, 0, "", ""])


def write_sweep(directory, variants, seeds=range(4), level=lambda variant, seed: 100.0, **changes):
    """Writes a plain multirun: one run per variant and seed."""
    for number, variant in enumerate(variants):
        for seed in seeds:
            name = ",".join(f"{key}={value}" for key, value in variant.items()) or "plain"
            write_run(
                directory / f"{name},seed={seed}-{number}{seed}",
                configure(seed=seed, **variant),
                level(variant, seed),
                **changes,
            )
    return directory


def declare(directory, variants, *, question, control, seeds, metric="final_return", **others):
    """Writes the `sweep.json` of existing and planned runs."""
    jobs = []
    for label, prefix in variants.items():
        for seed in seeds:
            here = sorted(path.name for path in directory.glob(f"{prefix},seed={seed}-*"))
            name = here[0] if here else f"{prefix},seed={seed}-missing"
            jobs.append({"variant": label, "seed": seed, "hash": name[-4:], "directory": name})
    (directory / "sweep.json").write_text(
        json.dumps(
            {"name": directory.name, "question": question, "command": f"python -m dqn_lab sweep {directory.name}",
             "control": control, "metric": metric, "base": [], "seeds": list(seeds), "jobs": jobs,
             "variants": {label: [prefix] for label, prefix in variants.items()}, **others}
        )
    )  # fmt: skip
    return directory


def noisy(variant, seed):
    """Draws a return from the variant and the seed; three in ten are the maximum."""
    interval, n_step = variant.get("target.interval", 10), variant.get("buffer.n_step", 1)
    draw = np.random.default_rng([seed, interval, n_step])
    return 500.0 if draw.random() < 0.3 else float(draw.uniform(80, 300) / (1 + np.log10(interval)) + 20 * n_step)


def read_page(report):
    """Returns the text of a report's page, without styles and figures."""
    page = re.sub(r"<(style|svg)\b.*?</\1>", "", (report / "index.html").read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", page)).replace("\u00a0", " ").split())


@pytest.fixture
def read():
    """Returns the function above."""
    return read_page


@pytest.fixture
def no_figures(monkeypatch):
    """Skips drawing, which takes most of a report's time, in tests that read only its text."""
    monkeypatch.setattr("dqn_lab.analysis.report.pictures.render", lambda draw, name: BLANK)


@pytest.fixture
def make():
    """Returns the functions above."""
    return SimpleNamespace(configure=configure, run=write_run, sweep=write_sweep, declare=declare, noisy=noisy)


@pytest.fixture
def sweep(tmp_path):
    """Writes a small plain multirun over one numeric key."""
    return write_sweep(tmp_path / "interval", [{"target.interval": value} for value in (1, 10, 100)], range(5), noisy)


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Calls `python -m dqn_lab report WORDS…`; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main(["report", *map(str, words)])
        captured = capsys.readouterr()
        return SimpleNamespace(code=exit_.value.code or 0, out=captured.out, err=captured.err)

    return call
