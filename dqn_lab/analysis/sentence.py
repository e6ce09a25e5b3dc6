"""Writes the result of a comparison in one sentence that claims no more than its intervals."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

Row = dict[str, Any]
FEW = 4  # variants that a sentence has room for with their numbers
MANY = 10_000  # seeds; a larger estimate is useless


def answer(comparison: pd.DataFrame) -> str:
    """Writes what `compare` found in one sentence.

    "“fast” beats “slow” by 45 in mean final_return (95 % interval 12 to 80; 30 seeds each)." or "Undecided at 30 seeds:
    …", with the reason if it is rare failures, and an estimate of the seeds that would likely decide. Several variants
    share a sentence, decided ones first.

    Args:
        comparison: a frame that `compare` returned, or some of its rows.
    """
    rows: list[Row] = [{str(key): value for key, value in row.items()} for _, row in comparison.iterrows()]
    by, first = str(comparison.columns[0]), rows[0]
    control = quoted(first["control"])
    seeds = _seeds(rows) + _left_out(rows)
    measure = f"in mean {first['metric']}"
    if len(rows) == 1:
        name, level = quoted(first[by]), f"{100 * first['level']:.3g} % interval {_interval(first)}"
        if first["verdict"] == "undecided":
            change = _number(first["difference"], first, sign=True)
            return (
                f"Undecided{_at(rows)}: {name} against {control}, {change} {measure} ({level}; {seeds})"
                f"{_why(first)}{_estimate([first], '; ')}."
            )
        verb = "beats" if first["verdict"] == "better" else "loses to"
        change = _number(abs(first["difference"]), first)
        return f"{name} {verb} {control} by {change} {measure} ({level}; {seeds})."
    rows.sort(key=lambda row: row["verdict"] == "undecided")
    decided = rows[0]["verdict"] != "undecided"
    opening = f"Against {control} {measure}" if decided else f"Undecided{_at(rows)} against {control} {measure}"
    clauses = "; ".join(_clauses(rows, by, decided))
    return f"{opening} ({seeds}; intervals corrected for {len(rows)} comparisons): {clauses}."


def quoted(label: object) -> str:
    """Quotes a label, because it may be a phrase, a list, or a word such as “none”."""
    return f"“{label}”"


def _clauses(rows: list[Row], by: str, decided: bool) -> list[str]:
    """Writes a clause per variant; if there are many, those undecided for one reason share a clause."""
    open_ = [row for row in rows if row["verdict"] == "undecided"]
    is_open, are_open = (" is undecided", " are undecided") if decided else ("", "")
    if len(rows) <= FEW or len(open_) <= 1:
        return [_clause(row, by, is_open) for row in rows]
    alike: dict[str, list[Row]] = {}
    for row in open_:
        alike.setdefault(_why(row), []).append(row)
    return [
        *(_clause(row, by, is_open) for row in rows[: len(rows) - len(open_)]),
        *(
            f"{listed([quoted(row[by]) for row in group])}{is_open if len(group) == 1 else are_open}"
            f"{_estimate(group, ' (', ')')}{why}"
            for why, group in alike.items()
        ),
    ]


def listed(names: list[str]) -> str:
    """Writes names as a sentence does: commas, and “and” before the last."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _clause(row: Row, by: str, is_open: str) -> str:
    if row["verdict"] == "undecided":
        change = _number(row["difference"], row, sign=True)
        return f"{quoted(row[by])}{is_open}, {change} ({_interval(row)}{_estimate([row], '; ')}){_why(row)}"
    return f"{quoted(row[by])} is {row['verdict']} by {_number(abs(row['difference']), row)} ({_interval(row)})"


def _why(row: Row) -> str:
    return ": too few seeds to rule out rare failures" if row.get("reason") == "rare failures" else ""


def _estimate(rows: list[Row], before: str, after: str = "") -> str:
    """Writes how many seeds would likely decide, from fewest to most if there are several variants."""
    numbers = {seeds_to_decide(row): float(row.get("seeds_needed", math.nan)) for row in rows}
    numbers.pop("", None)
    if not numbers:
        return ""
    few, many = min(numbers, key=numbers.__getitem__), max(numbers, key=numbers.__getitem__)
    said = few if few == many else f"{few} or more" if numbers[many] > MANY else f"{few} to {many}"
    return f"{before}an estimated {said} seeds would decide{after}"


def seeds_to_decide(row: Row) -> str:
    """Writes the estimate of the seeds that would decide, to two digits; nothing if there is none."""
    needed = float(row.get("seeds_needed", math.nan))
    if not math.isfinite(needed):
        return ""
    if needed > MANY:
        return f"{MANY:,} or more"
    unit = 10 ** max(math.floor(math.log10(needed)) - 1, 0)
    return f"{math.ceil(needed / unit) * unit:,}"


def _at(rows: list[Row]) -> str:
    return f" at {min(min(row['seeds'], row['control_seeds']) for row in rows)} seeds"


def _seeds(rows: list[Row]) -> str:
    numbers = sorted({int(number) for row in rows for number in (row["seeds"], row["control_seeds"])})
    return f"{numbers[0]} seeds each" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]} seeds"


def _left_out(rows: list[Row]) -> str:
    missing = max(int(row["missing"]) for row in rows)
    return f", {missing} run{'s' if missing > 1 else ''} without a score left out" if missing else ""


def _interval(row: Row) -> str:
    """Writes the interval of the difference, or of its size if there is a verdict."""
    ends = [row["low"], row["high"]]
    if any(math.isnan(end) for end in ends):
        return "unknown"
    decided = row["verdict"] != "undecided"
    ends = sorted(map(abs, ends)) if decided else ends
    return " to ".join(_number(end, row) for end in ends)


def _number(value: float, row: Row, *, sign: bool = False) -> str:
    """Writes a number to as many digits as its interval's width allows."""
    width = row["high"] - row["low"]
    some = not math.isnan(width) and width > 1e-9 * max(abs(row["high"]), abs(row["low"]), 1)  # more than rounding
    digits = min(max(1 - math.floor(math.log10(width)), 0), 6) if some else 1
    value = round(value, digits) + 0.0  # no minus in front of zero
    return f"{value:{'+' if sign else ''},.{digits}f}".replace("-", "−")
