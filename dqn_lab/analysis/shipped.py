"""Loads the results that ship with the package."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd
import yaml

from dqn_lab._paths import sweeps_directory
from dqn_lab.analysis._errors import AnalysisError, unknown
from dqn_lab.analysis.places import Place
from dqn_lab.analysis.runs import Sweep

Shipped = Literal["runs", "evaluations"]
_load: Any = yaml.load  # untyped
CURVE = ["run", "variant", "seed", "task", "step", "return_mean"]
RUN = ["run", "variant", "seed", "task", "status", "final_return", "best_return", "last_100", "final_step"]


def load_shipped(question: str | None = None, table: Shipped = "runs") -> pd.DataFrame:
    """Loads the results of a question in `sweeps/`, which are those in the README.

    Args:
        question: the question's name; None lists all questions.
        table: `runs` for one row per run, as in `load_configs` but with scores only; `evaluations` for one row per
            evaluation, as in `load_runs(…, table="evaluations")` but with the mean only.

    Returns:
        a frame for `summarize`, `compare` and `learning_curves`; without a question, one row for each question that has
        results: its name, and the numbers of variants and runs. `.attrs["control"]` is the variant that the question
        compares with.

    Raises:
        AnalysisError: there is no such question or table.
    """
    found = {path.name.removesuffix(".runs.csv"): path for path in sorted(_directory().glob("*.runs.csv"))}
    if question is None:
        frames = {name: load_shipped(name) for name in found}
        rows = [{"question": name, "variants": frame["variant"].nunique(), "runs": len(frame)}
                for name, frame in frames.items()]  # fmt: skip
        return pd.DataFrame(rows, columns=["question", "variants", "runs"])
    if question not in list(found):
        raise unknown("question", question, found, "question")
    if table not in get_args(Shipped):
        raise unknown("table", table, get_args(Shipped), "table")
    path = found[question] if table == "runs" else found[question].with_name(f"{question}.evaluations.csv.gz")
    frame = pd.read_csv(path)
    frame["variant"] = pd.Categorical(frame["variant"], list(dict.fromkeys(frame["variant"])))
    frame.attrs["control"] = _question(question).get("control")
    return frame


def shipped_question(places: Sequence[Place]) -> str | None:
    """Returns the question that the only place names if its results are included and there is no such directory.

    Raises:
        AnalysisError: it is not the only place.
    """
    names = [place.path for place in places if place.rows is None and not Path(place.path).exists()]
    named = [name for name in names if Path(name).name == name and (_directory() / f"{name}.runs.csv").is_file()]
    if named and len(places) > 1:
        raise AnalysisError(f"{named[0]}: no such directory; the answer included with dqn_lab is reported alone")
    return named[0] if named else None


def shipped_sweep(question: str) -> Sweep:
    """Returns the sweep that made a question's results, as its `sweep.json` described it."""
    runs, asked = load_shipped(question), _question(question)
    seeds, grid = sorted(runs["seed"].unique().tolist()), shipped_grid(question)
    cells = {label: [f"{key}={value}" for key, value in cell.items()] for label, cell in grid.items()}
    jobs = [{"variant": row["variant"], "seed": row["seed"], "directory": row["run"]} for _, row in runs.iterrows()]
    return Sweep(
        directory=Path(question), name=question, question=asked.get("question"), control=asked.get("control"),
        metric=asked.get("metric"), jobs=jobs, seeds=seeds,
        command=f"python -m dqn_lab sweep {question} seed='range({seeds[0]},{seeds[-1] + 1})'",
        variants=asked.get("variants") or cells,
    )  # fmt: skip


def shipped_grid(question: str) -> dict[str, dict[str, Any]]:
    """Returns the keys and values of every variant of a question's grid; nothing if its variants have names."""
    grid = _question(question).get("grid")
    if not grid:
        return {}
    labels = map(str, load_shipped(question)["variant"].cat.categories)
    cells = itertools.product(*grid.values())
    return {label: dict(zip(grid, cell, strict=True)) for label, cell in zip(labels, cells, strict=True)}


def _question(name: str) -> dict[str, Any]:
    """Reads a question's yaml; returns nothing if it is not there."""
    path = sweeps_directory() / f"{name}.yaml"
    content: Any = _load(path.read_text(encoding="utf-8"), yaml.SafeLoader) if path.is_file() else {}
    return dict(content)


def pack(runs: pd.DataFrame, evaluations: pd.DataFrame, question: str, directory: Path) -> None:
    """Writes the two files that `load_shipped` reads: the same bytes for the same runs.

    Args:
        runs: a frame of `load_configs`.
        evaluations: a frame of `load_runs(…, table="evaluations")`.
        question: its name.
        directory: where to write.
    """
    order = {label: number for number, label in enumerate(runs["variant"].cat.categories)}

    def ranked(frame: pd.DataFrame, last: str) -> pd.DataFrame:
        return frame.assign(rank=frame["variant"].map(order).astype(int)).sort_values(["rank", "seed", last])

    name = {run: f"{question}-{number}" for number, run in enumerate(ranked(runs, "final_step")["run"])}

    def text(frame: pd.DataFrame, columns: list[str], last: str) -> str:
        named = ranked(frame, last).assign(run=frame["run"].map(name))
        return named[columns].round(2).to_csv(index=False, lineterminator="\n")

    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{question}.runs.csv").write_text(text(runs, RUN, "final_step"), encoding="utf-8")
    packed = gzip.compress(text(evaluations, CURVE, "step").encode(), mtime=0)
    (directory / f"{question}.evaluations.csv.gz").write_bytes(packed)


def _directory() -> Path:
    return sweeps_directory() / "answers"
