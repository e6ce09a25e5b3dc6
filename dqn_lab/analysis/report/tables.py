"""Tables: full numbers in CSV, rounded ones for readers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from dqn_lab.analysis._numbers import largest_in, number, percent, plain
from dqn_lab.analysis.report.metrics import FOR_QUARTILES, METRICS, Metric
from dqn_lab.analysis.report.neutral import csv, markdown
from dqn_lab.analysis.sentence import quoted, seeds_to_decide

Row = dict[str, Any]
COMPARISON = (
    "p is the larger of two probabilities{corrected}: that chance alone makes such a difference, and that these seeds "
    "all missed failures or successes that would cancel it. A verdict needs 0.05 or less. P(better) is the share of "
    "pairs of runs, one of the variant and one of the control, in which the variant's is better; ties count half, so "
    "50 % means no difference. It counts only what was seen: with few seeds it can be 100 % while p is 1. The CSV file "
    "has its 95 % interval."
)
LEVELS = (
    " The intervals of the differences have the levels at which Holm's procedure judges them, so they agree with the "
    "verdicts; with several verdicts, the probability that all of them contain the true differences may be only 90 %."
)
STEPS = {"best_step": "selected at step", "final_step": "steps"}  # headings
CORRECTED = ", corrected for the number of comparisons (Holm)"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table in both forms.

    Args:
        name: the name of its files.
        title: its caption.
        frame: the content of the CSV file.
        columns: for readers: each heading, and a function that formats a row's cell under it.
        note: what the reader must know about the table.
    """

    name: str
    title: str
    frame: pd.DataFrame
    columns: Mapping[str, Callable[[Row], str]]
    note: str = ""

    @property
    def headings(self) -> list[str]:
        """The column headings."""
        return list(self.columns)

    @property
    def cells(self) -> list[list[str]]:
        """The cells for readers, row by row."""
        rows: Sequence[Row] = self.frame.to_dict("records")  # type: ignore[assignment]
        return [[write(row) for write in self.columns.values()] for row in rows]

    def csv(self) -> str:
        """Returns the full numbers as CSV."""
        return csv(self.frame)

    def markdown(self) -> str:
        """Returns the readers' cells as Markdown."""
        escaped = [[markdown(cell) for cell in row] for row in [self.headings, *self.cells]]
        escaped.insert(1, ["---"] * len(self.headings))
        return f"{markdown(self.title)}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in escaped)


def interval(row: Row, low: str, high: str, write: Callable[[float], str]) -> str:
    """Formats an interval, or a dash if there are too few seeds for one."""
    if math.isnan(row[low]):
        return "–"
    first, last = write(row[low]), write(row[high])
    return f"{first} to {last}" if first[0] in "+−" or last[0] in "+−" else f"{first.removesuffix(' %')}–{last}"


def results(summary: pd.DataFrame, metric: Metric, threshold: float | None) -> Table:
    """Returns the table of each variant's summary, as computed by `summarize`."""
    several, enough = bool((summary["seeds"] > 1).any()), bool((summary["seeds"] >= FOR_QUARTILES).any())
    write = partial(number, largest=largest_in(summary, "mean", "mean_low", "mean_high"))

    def if_enough(name: str, row: Row) -> str:
        return write(row[name]) if row["seeds"] >= FOR_QUARTILES else "–"

    columns: dict[str, Callable[[Row], str]] = {
        "variant": lambda row: str(row["variant"]),
        "seeds": lambda row: f"{row['seeds']}" + (f" ({row['missing']} missing)" if row["missing"] else ""),
        "mean": lambda row: write(row["mean"]),
        **({"95 % interval": lambda row: interval(row, "mean_low", "mean_high", write)} if several else {}),
        **({"median": partial(if_enough, "median") if enough else lambda row: write(row["median"])} if several else {}),
        **({"10th percentile": partial(if_enough, "p10"), "IQM": partial(if_enough, "iqm")} if enough else {}),
    }
    if threshold is not None:
        columns[f"runs at {plain(threshold)} or above"] = lambda row: (
            f"{row['successes']} of {row['seeds']}"
            + (f" ({interval(row, 'success_low', 'success_high', percent)})" if several else "")
        )
    return Table(name="results", title=f"Results: {metric.title}", frame=summary, columns=columns)


def comparison(compared: pd.DataFrame, metric: Metric, control: str) -> Table:
    """Returns the table of the differences from the control, as computed by `compare`."""
    write = partial(number, signed=True, largest=largest_in(compared, "difference", "low", "high"))
    several = len(compared) > 1
    return Table(
        name="comparison",
        title=f"Against {quoted(control)}: {metric.title}",
        frame=compared,
        columns={
            "variant": lambda row: str(row["variant"]),
            "verdict": explained,
            "difference": lambda row: write(row["difference"]),
            "interval" if several else "95 % interval": lambda row: interval(row, "low", "high", write),
            "p, Holm" if several else "p": lambda row: p_value(row["p_holm"]),
            "P(better)": lambda row: percent(row["improvement"]),
            "seeds": _both_seeds,
            "seeds to decide": lambda row: seeds_to_decide(row).replace(" or more", "+") or "–",
        },
        note=COMPARISON.format(corrected=CORRECTED if several else "") + (LEVELS if several else ""),
    )


def _both_seeds(row: Row) -> str:
    own, controls = row["seeds"], row["control_seeds"]
    return f"{own}" if own == controls else f"{own} v. {controls}"


def explained(row: Row) -> str:
    """Returns the verdict, and a reason if only possible rare failures prevent one."""
    why = ": too few seeds to rule out rare failures" if row["reason"] == "rare failures" else ""
    return f"{row['verdict']}{why}"


def p_value(value: float) -> str:
    """Formats a p-value to three decimals."""
    return "–" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def runs(scores: pd.DataFrame, metric: Metric, swept: Sequence[str]) -> Table:
    """Returns the table of all runs, which `--against` can read; its CSV file also has the keys that differ."""
    names = {"variant": "variant", "seed": "seed", "status": "status", "task": "environment"}
    wanted = [*names, metric.name, "final_return", "best_return", "best_step", "last_100", "final_step", "run"]
    here = [name for name in dict.fromkeys(wanted) if name in scores]
    if "best_step" in here and scores["best_step"].isna().all():
        here.remove("best_step")
    keys = [key for key in swept if key in scores and key not in here]
    frame = scores.sort_values(["variant", "seed"], kind="stable")[[*here, *keys]].rename(columns=names)
    numbers = [name for name in here if name in frame and name not in (*names, "run")]
    writes: dict[str, Callable[[float], str]] = {"variant": str, "seed": "{:.0f}".format, "status": str}
    writes |= {name: partial(number, largest=largest_in(frame, name)) for name in numbers}
    writes |= {name: "{:,.0f}".format for name in ("best_step", "final_step") if name in numbers}
    meanings = [
        f"The {METRICS[name].title} ({name} in the CSV file) is the {METRICS[name].meaning}."
        for name in ("best_return", "last_100")
        if name in writes
    ]
    titles = {name: known.title for name, known in METRICS.items()} | STEPS
    columns = {titles.get(name, name): partial(_cell, name, write) for name, write in writes.items()}
    note = " ".join(meanings)
    note += _of_twice_scored(scores)
    if "best_return" in writes and scores.loc[scores["status"] == "completed", "best_return"].isna().any():
        note += " The selected return is – if the run was evaluated only at its end: there was no policy to select."
    return Table(name="runs", title="Every run", frame=frame, columns=columns, note=note)


def _of_twice_scored(scores: pd.DataFrame) -> str:
    """Explains that the selected return can be lower than the final one although the policy is the same."""
    if "best_step" not in scores or not (same := scores["best_step"] == scores["final_step"]).any():
        return ""
    number_of, total = int(same.fillna(False).sum()), int(scores["best_step"].notna().sum())
    which = "each run" if number_of == total else f"{number_of} of {total} runs"
    return (
        f" In {which}, the selected policy is the final one, which was scored twice, on different episodes: the two "
        "returns differ by chance only, and either may be lower."
    )


def _cell(name: str, write: Callable[[float], str], row: Row) -> str:
    value = row[name]
    if isinstance(value, str):
        return value
    return "–" if pd.isna(value) else write(float(value))
