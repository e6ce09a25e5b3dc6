"""Writes the result of a comparison in sentences that claim no more than its intervals."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from dqn_lab.analysis._errors import AnalysisError

Row = dict[str, Any]
FEW = 4  # variants that fit into a sentence with their numbers
NEEDED = {"control", "metric", "seeds", "control_seeds", "missing", "control_missing", "difference", "low", "high",
          "level", "verdict"}  # fmt: skip
IN_WORDS = {
    "by": "number of steps to the threshold", "after": "number of steps below the threshold",
    "best_return": "selected return", "last_100": "training return", "mean_return": "return over the whole run",
    "wall_seconds": "wall time in seconds",
}  # fmt: skip
MANY = 10_000  # seeds; a larger estimate is of no use


def answer(comparison: pd.DataFrame) -> str:
    """Returns what `compare` found, in words: what is known, what is not, and how many seeds would probably decide.

    "“fast” is better than “slow”: its mean final return is 45 higher (95 % interval 12 to 80; 30 seeds each)." With
    several variants, one sentence lists those with a verdict, and another those that are undecided. The number of seeds
    is `seeds_needed`, rounded up to two digits.

    Args:
        comparison: a frame that `compare` returned, or some of its rows.

    Raises:
        AnalysisError: `compare` did not return this frame, or it has no rows.
    """
    if not isinstance(comparison, pd.DataFrame) or not {*comparison.columns[1:]} >= NEEDED:
        raise AnalysisError("answer: needs a frame that compare returned, with all its columns")
    if comparison.empty:
        raise AnalysisError("answer: the comparison has no rows")
    rows: list[Row] = [{str(key): value for key, value in row.items()} for _, row in comparison.iterrows()]
    by = str(comparison.columns[0])
    open_ = [row for row in rows if row["verdict"] == "undecided"]
    text = _several(rows, open_, by) if len(rows) > 1 else _one(rows[0], by)
    return " ".join([text, *_too_few(open_, by if len(rows) > 1 else None), *_estimate(open_)])


def _one(row: Row, by: str) -> str:
    name, control = quoted(row[by]), quoted(row["control"])
    if row["verdict"] != "undecided":
        return (
            f"{name} is {row['verdict']} than {control}: its mean {_metric(row)} is {_change(row)} ({_evidence(row)})."
        )
    known = f"Undecided: in these runs, the mean {_metric(row)} of {name} is {_than(row)} that of {control}"
    if row.get("reason") == "rare failures" or math.isnan(row["low"]):
        return f"{known} ({_evidence(row)})."
    level = f"{100 * row['level']:.3g} %"
    return (
        f"{known}, but the true difference may be anything from {_interval(row)} ({level} interval; {_seeds([row])})."
    )


def _several(rows: list[Row], open_: list[Row], by: str) -> str:
    """Returns the verdicts, then the undecided differences, which are left out if there are many and no verdict."""
    first, decided = rows[0], [row for row in rows if row["verdict"] != "undecided"]
    measure = f"in mean {_metric(first)} ({_seeds(rows)}; corrected for {len(rows)} comparisons)"
    listed_ = "; ".join(_clause(row, by) for row in open_) if len(rows) <= FEW or len(open_) == 1 else ""
    if not decided:
        nothing = f"Undecided: no variant is shown to be better or worse than {quoted(first['control'])} {measure}"
        return f"{nothing}: {listed_}." if listed_ else f"{nothing}."
    verdicts = "; ".join(
        f"{quoted(row[by])} is {row['verdict']} by {_number(abs(row['difference']), row)} ({_interval(row)})"
        for row in decided
    )
    known = f"Compared with {quoted(first['control'])} {measure}: {verdicts}."
    return f"{known} Undecided: {listed_ or listed([quoted(row[by]) for row in open_])}." if open_ else known


def _clause(row: Row, by: str) -> str:
    return f"{quoted(row[by])}, difference {_number(row['difference'], row, sign=True)} ({_interval(row)})"


def _too_few(rows: list[Row], by: str | None) -> list[str]:
    """Explains why differences are undecided although chance does not explain them; names the variants if several."""
    rows = [row for row in rows if row.get("reason") == "rare failures"]
    if not rows:
        return []
    number = min(min(row["seeds"], row["control_seeds"]) for row in rows)
    few = f"{number} seeds are too few for a verdict" + (
        f" on {listed([quoted(row[by]) for row in rows])}" if by else ""
    )
    return [f"{few}: failures too rare to have shown up so far could cancel the difference."]


def quoted(label: object) -> str:
    """Returns a label in quotation marks, because it may be a phrase, a list, or a word such as “none”."""
    return f"“{label}”"


def listed(names: list[str], word: str = "and") -> str:
    """Joins names with commas, and with a word before the last."""
    return f"{', '.join(names[:-1])} {word} {names[-1]}" if len(names) > 1 else "".join(names)


def _estimate(rows: list[Row]) -> list[str]:
    """Returns a sentence on how many seeds would probably decide: a range if there are several variants."""
    numbers = {seeds_to_decide(row): float(row.get("seeds_needed", math.nan)) for row in rows}
    numbers.pop("", None)
    if not numbers:
        return []
    few, many = min(numbers, key=numbers.__getitem__), max(numbers, key=numbers.__getitem__)
    if numbers[many] > MANY:
        return [f"At least about {few.removesuffix(' or more')} fresh seeds per variant would be needed to decide."]
    if few == many:
        return [f"About {few} fresh seeds per variant would probably decide."]
    return [f"About {few} to {many} fresh seeds per variant, depending on the variant, would probably decide."]


def seeds_to_decide(row: Row) -> str:
    """Formats the estimated number of seeds that would decide, to two digits; empty if there is no estimate."""
    needed = float(row.get("seeds_needed", math.nan))
    if not math.isfinite(needed):
        return ""
    if needed > MANY:
        return f"{MANY:,} or more"
    unit = 10 ** max(math.floor(math.log10(needed)) - 1, 0)
    return f"{math.ceil(needed / unit) * unit:,}"


def _seeds(rows: list[Row]) -> str:
    numbers = sorted({int(number) for row in rows for number in (row["seeds"], row["control_seeds"])})
    each = f"{numbers[0]} seed{'' if numbers[0] == 1 else 's'} each"
    text = each if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]} seeds"
    missing = int(rows[0]["control_missing"]) + sum(int(row["missing"]) for row in rows)
    return text + (f", {missing} run{'s' if missing > 1 else ''} without a score left out" if missing else "")


def _metric(row: Row) -> str:
    name = str(row["metric"])
    return IN_WORDS.get(name) or " ".join(word for word in name.split("_") if word != "mean")


def _than(row: Row) -> str:
    """Returns `45 higher than`; without a number if the means are equal to the digits shown, or exactly."""
    number = _number(abs(row["difference"]), row)
    if number.strip("0."):
        return f"{_change(row)} than"
    return "about the same as" if row["difference"] else "the same as"


def _change(row: Row) -> str:
    """Returns `45 higher`."""
    return f"{_number(abs(row['difference']), row)} {'higher' if row['difference'] > 0 else 'lower'}"


def _evidence(row: Row) -> str:
    return f"{100 * row['level']:.3g} % interval {_interval(row)}; {_seeds([row])}"


def _interval(row: Row) -> str:
    """Formats the interval of the difference, or of its absolute value if there is a verdict."""
    ends = [row["low"], row["high"]]
    if any(math.isnan(end) for end in ends):
        return "unknown"
    decided = row["verdict"] != "undecided"
    ends = sorted(map(abs, ends)) if decided else ends
    return " to ".join(_number(end, row, sign=not decided) for end in ends)


def _number(value: float, row: Row, *, sign: bool = False) -> str:
    """Formats a number to as many digits as its interval's width allows."""
    width = row["high"] - row["low"]
    some = not math.isnan(width) and width > 1e-9 * max(abs(row["high"]), abs(row["low"]), 1)  # more than rounding
    digits = min(max(1 - math.floor(math.log10(width)), 0), 6) if some else 1
    value = round(value, digits) + 0.0  # zero has no sign
    return f"{value:{'+' if sign and value else ''},.{digits}f}".replace("-", "−")
