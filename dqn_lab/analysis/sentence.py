"""What a comparison found, in one sentence that claims no more than its intervals."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

Row = dict[str, Any]
FEW = 4  # variants that a sentence has room for, numbers and all
MANY = 10_000  # seeds, beyond which an estimate is no use


def answer(comparison: pd.DataFrame) -> str:
    """Writes what `compare` found in one sentence.

    "target.interval=10 beats target.interval=1 by 45 in mean final_return (95 % interval 12 to 80; 30 seeds each)." or
    "Undecided at 30 seeds: …", with the reason where rare failures are one, and an estimate of the seeds that would
    likely decide. Several variants share a sentence, decided ones first.

    Args:
        comparison: as `compare` gives it, or some of its rows.
    """
    rows: list[Row] = [{str(key): value for key, value in row.items()} for _, row in comparison.iterrows()]
    by, first = str(comparison.columns[0]), rows[0]
    seeds = _seeds(rows) + _left_out(rows)
    measure = f"in mean {first['metric']}"
    if len(rows) == 1:
        level = f"{100 * first['level']:.3g} % interval {_interval(first)}"
        if first["verdict"] == "undecided":
            change = _number(first["difference"], first, sign=True)
            return (
                f"Undecided{_at(rows)}: {first[by]} against {first['control']}, {change} {measure} ({level}; {seeds})"
                f"{_why(first)}{_estimate(first, '; ')}."
            )
        verb = "beats" if first["verdict"] == "better" else "loses to"
        change = _number(abs(first["difference"]), first)
        return f"{first[by]} {verb} {first['control']} by {change} {measure} ({level}; {seeds})."
    rows.sort(key=lambda row: row["verdict"] == "undecided")
    decided = rows[0]["verdict"] != "undecided"
    opening = (
        f"Against {first['control']} {measure}"
        if decided
        else f"Undecided{_at(rows)} against {first['control']} {measure}"
    )
    told = "; ".join(_clauses(rows, by))
    return f"{opening} ({seeds}; intervals corrected for {len(rows)} comparisons): {told}."


def _clauses(rows: list[Row], by: str) -> list[str]:
    """Writes one for each variant; where there are many, those that are undecided for one reason share one."""
    decided = [row for row in rows if row["verdict"] != "undecided"]
    if len(rows) <= FEW or len(rows) - len(decided) <= 1:
        return [_clause(row, by) for row in rows]
    names: dict[str, list[str]] = {}
    for row in rows[len(decided) :]:
        names.setdefault(_why(row), []).append(str(row[by]))
    return [
        *(_clause(row, by) for row in decided),
        *(f"{_listed(alike)} undecided{why}" for why, alike in names.items()),
    ]


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _clause(row: Row, by: str) -> str:
    if row["verdict"] == "undecided":
        change = _number(row["difference"], row, sign=True)
        return f"{row[by]} undecided, {change} ({_interval(row)}{_estimate(row, '; ')}){_why(row)}"
    return f"{row[by]} {row['verdict']} by {_number(abs(row['difference']), row)} ({_interval(row)})"


def _why(row: Row) -> str:
    return ": too few seeds to rule out rare failures" if row.get("reason") == "rare failures" else ""


def _estimate(row: Row, before: str) -> str:
    needed = seeds_to_decide(row)
    return f"{before}an estimated {needed} seeds would decide" if needed else ""


def seeds_to_decide(row: Row) -> str:
    """Writes the estimate of the seeds that would decide, to two digits; nothing where there is none."""
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
    """Writes the interval of what is said, which for a decided arm is the difference's size."""
    ends = [row["low"], row["high"]]
    if any(math.isnan(end) for end in ends):
        return "unknown"
    decided = row["verdict"] != "undecided"
    ends = sorted(map(abs, ends)) if decided else ends
    return " to ".join(_number(end, row) for end in ends)


def _number(value: float, row: Row, *, sign: bool = False) -> str:
    """Writes a number to the digits that its interval's width leaves."""
    width = row["high"] - row["low"]
    some = not math.isnan(width) and width > 1e-9 * max(abs(row["high"]), abs(row["low"]), 1)  # more than rounding
    digits = min(max(1 - math.floor(math.log10(width)), 0), 6) if some else 1
    value = round(value, digits) + 0.0  # no minus in front of nothing
    return f"{value:{'+' if sign else ''},.{digits}f}".replace("-", "−")
