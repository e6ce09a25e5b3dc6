"""Questions: yaml files such as those in `sweeps/`, read and checked."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt, MinLen
from pydantic import BaseModel, ConfigDict

from dqn_lab._nearest import nearest
from dqn_lab._validation import check
from dqn_lab.cli import _overrides
from dqn_lab.cli._overrides import merge, parse_seeds, spell_value
from dqn_lab.cli._yaml import read_yaml
from dqn_lab.cli.sweep.forms import wrong_forms
from dqn_lab.errors import ConfigError
from dqn_lab.records import override_key, value_text

DEFAULT_METRIC = "final_return"
Overrides = list[str]
Seeds = str | list[Annotated[int, Ge(0)]]
Scalar = str | int | float | bool | None
Value = Scalar | list[Scalar] | dict[str, Scalar]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Quick(_Strict):
    seeds: Seeds | None = None
    base: Overrides = []
    num_trials: Annotated[int, Gt(0)] | None = None


class Search(_Strict):
    """A search in place of variants: the parameters, the number of trials, and how many run at a time."""

    params: Annotated[dict[str, str], MinLen(1)]
    num_trials: Annotated[int, Gt(0)] = 30
    num_parallel: Annotated[int, Gt(0)] = 2


class _File(_Strict):
    question: Annotated[str, MinLen(1)]
    base: Overrides = []
    variants: dict[str, Overrides] = {}
    grid: dict[str, Annotated[list[Value], MinLen(1)]] = {}
    search: Search | None = None
    control: str | None = None
    metric: Annotated[str, MinLen(1)] = DEFAULT_METRIC
    seeds: Seeds = "range(1000,1030)"
    quick: _Quick = _Quick()


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question and everything needed to answer it.

    Args:
        name: the file's name.
        question: the question in words.
        base: the overrides of every run.
        variants: the overrides of each variant, by its label.
        control: the variant that the others are compared with; None in a search.
        metric: the primary metric, declared beforehand.
        seeds: the seeds of every variant.
        search: the search, if there are no variants.
        has_seeds: whether the question specifies its seeds; otherwise they are the default seeds.
        problems: what is wrong with the control and the metric, to be reported beside the variants' problems.
    """

    name: str
    question: str
    base: list[str]
    variants: dict[str, list[str]]
    control: str | None
    metric: str
    seeds: list[int]
    search: Search | None
    has_seeds: bool = True
    problems: tuple[str, ...] = ()


def read_question(path: Path, quick: bool) -> Question:
    """Reads a question's file.

    Args:
        path: the file.
        quick: whether to use the short form: fewer seeds, shorter runs.

    Raises:
        ConfigError: one line per problem.
    """
    values = _load(path)
    found = _with_prefix(f"{path}: ", lambda: _question(path.stem, values, quick))
    return dataclasses.replace(found, problems=tuple(f"{path}: {problem}" for problem in found.problems))


def make_question(name: str, variants: Mapping[str, Any], quick: bool = False) -> Question:
    """Returns a question made from variants that are given in Python instead of in a file.

    Raises:
        ConfigError: one line per problem.
    """
    from dqn_lab.analysis.report.question import ask_about  # imports pandas

    if not variants or not isinstance(variants, (Mapping, list, tuple)):
        raise ConfigError('variants: must be a dictionary, as in {"often": ["target.interval=1"], "seldom": []}')
    if quick:
        raise ConfigError("quick=True: only a question in a file has a short form; set steps=… and seed=range(3)")
    if wrong := wrong_forms({"variants": variants}):
        raise ConfigError(*itertools.chain(*wrong.values()))
    labelled = {str(label): variants[label] for label in variants}
    if len(labelled) < len(variants):
        raise ConfigError(f"variants: two have the same name as text: {', '.join(map(repr, variants))}")
    return _question(name, {"question": ask_about(list(labelled)), "variants": labelled}, False)


def _question(name: str, found: Mapping[str, Any], quick: bool) -> Question:
    values = _checked(found)
    short, is_search = values["quick"] if quick else {}, bool(values["search"])
    variants, control = values["variants"] or _combinations(values["grid"]), values["control"]
    written = values["seeds"] if short.get("seeds") is None else short["seeds"]
    problems, seeds = list(_misplaced(values)), list[int]()
    if quick and "quick" not in found:
        problems.append("--quick: the file has no `quick`, such as quick: {seeds: range(3), base: [steps=5_000]}")
    both = [key for key in ("variants", "grid", "search") if values[key]]
    if len(both) != 1:
        problems.append(f"{', '.join(both) or 'nothing'}: exactly one of variants, grid and search must be given")
    elif is_search and control is not None:
        problems.append(f"control={control}: a search has no control")
    try:
        seeds = parse_seeds(written)
    except ConfigError as error:
        problems += error.problems
    if control is None and not is_search:
        control = next(iter(variants), None)
    later = [] if values["metric"] == DEFAULT_METRIC else list(_wrong_metric(values["metric"], is_search))
    if len(both) == 1 and not is_search and control not in variants:
        later.append(f"control={control}: no such variant; {nearest(str(control), variants)}")
    if problems or (is_search and later):
        raise ConfigError(*problems, *later)
    return Question(
        name=name,
        question=values["question"],
        base=_as_overrides(merge(values["base"], short.get("base", []))),
        variants={label: _as_overrides(own) for label, own in variants.items()},
        control=control,
        metric=values["metric"],
        seeds=seeds,
        has_seeds="seeds" in found or short.get("seeds") is not None,
        search=Search(**(values["search"] | {"num_trials": short.get("num_trials") or values["search"]["num_trials"]}))
        if is_search else None,
        problems=tuple(later),
    )  # fmt: skip


def _checked(found: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a file's values, with defaults filled in.

    Raises:
        ConfigError: one line per problem.
    """
    wrong = wrong_forms(found)
    try:
        values = check("", _File, {key: value for key, value in found.items() if key not in wrong})
    except ConfigError as error:
        raise ConfigError(*itertools.chain(*wrong.values()), *error.problems) from error
    if wrong:
        raise ConfigError(*itertools.chain(*wrong.values()))
    return values


def _wrong_metric(metric: str, is_search: bool) -> Iterator[str]:
    from dqn_lab.analysis.report.metrics import METRICS  # imports pandas, which few questions need this early

    if metric not in METRICS:
        yield f"metric={metric}: no such metric; {nearest(metric, METRICS)}"
    elif is_search:
        yield f"metric={metric}: a search can only maximise {DEFAULT_METRIC}"


def _misplaced(values: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for each override that must be set elsewhere, because it is not the runs' own."""
    parts = {"base": values["base"], "quick.base": values["quick"]["base"]}
    parts |= {f"variants.{label}": own for label, own in values["variants"].items()}
    parts["grid"] = [f"{key}=…" for key in values["grid"]]
    parts["search.params"] = [f"{key}=…" for key in (values["search"] or {}).get("params", ())]
    for where, overrides in parts.items():
        for text in overrides:
            key = override_key(text)
            if key == "seed":
                yield f"{where}: {text}: set it under seeds:"
            elif _overrides.is_hydras(key):
                yield f"{where}: {text}: write it after the sweep's name on the command line"


def _as_overrides(texts: Iterable[str]) -> list[str]:
    return [_overrides.adding(text) for text in texts]


def _with_prefix(prefix: str, work: Callable[[], Question]) -> Question:
    try:
        return work()
    except ConfigError as error:
        raise ConfigError(*(f"{prefix}{problem}" for problem in error.problems)) from error


def _load(path: Path) -> Mapping[str, Any]:
    values = read_yaml(path)
    for label in (values.get("variants") or {}) if isinstance(values.get("variants"), dict) else []:
        if not isinstance(label, str):
            raise ConfigError(f"{path}: variants.{label}: a label is text; put it in quotes: '{label}'")
    return {str(key): value for key, value in values.items()}


def _combinations(grid: Mapping[str, list[Value]]) -> dict[str, list[str]]:
    """Expands a grid: a variant for each combination, labelled by its values."""
    shorts = [key.split(".")[-1] for key in grid]
    names = shorts if len(set(shorts)) == len(shorts) else list(grid)
    variants = {}
    for values in itertools.product(*grid.values()):
        words = [spell_value(key, value) if isinstance(value, dict) else value_text(value)
                 for key, value in zip(grid, values, strict=True)]  # fmt: skip
        label = ", ".join(f"{name}={word}" for name, word in zip(names, words, strict=True))
        variants[label] = [f"{key}={word}" for key, word in zip(grid, words, strict=True)]
    return variants
