"""Questions from Python, with the command line's names: `sweep` and `report`."""

from __future__ import annotations

import functools
import os
import warnings
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqn_lab._arguments import flag, to_write
from dqn_lab.cli import _interrupt, _overrides, say
from dqn_lab.cli._runs import check_results
from dqn_lab.cli._text import columns, number_of, padded, shown, wrapped
from dqn_lab.cli._workplace import as_variants, in_pythons_words, workplace
from dqn_lab.cli.sweep import find_question
from dqn_lab.errors import ConfigError, TrainingError
from dqn_lab.records import RUN

if TYPE_CHECKING:
    import pandas as pd

    from dqn_lab.analysis.places import Source
    from dqn_lab.analysis.report.write import Report
    from dqn_lab.cli.sweep.question import Question


def sweep(
    name: str | os.PathLike[str],
    *overrides: str,
    variants: Mapping[str, list[str] | tuple[str, ...]] | None = None,
    quick: bool = False,
    directory: str | os.PathLike[str] | None = None,
    config_dir: str | os.PathLike[str] | None = None,
    **keys: Any,
) -> pd.DataFrame:
    """Trains every variant of a question with every seed, except completed runs; prints a table and the answer.

    Args:
        name: a question's name, or the path of a yaml file; with `variants`, a name for the directory.
        overrides: overrides for every run.
        variants: the overrides of each variant by its label, in place of a question; the first is the control.
        quick: the question's short form: fewer seeds, shorter runs.
        directory: where to write; by default one below `outputs/sweeps/`.
        config_dir: a directory with custom options and components.
        keys: plain keys, for every run; `seed=range(5)` sets the seeds.

    Returns:
        one row per run, as `dqn_lab.analysis.load_configs` returns it; `attrs["directory"]` is the sweep's directory.

    Raises:
        ConfigError: one line per problem; nothing was written.
        TrainingError: no job completed; the message says why the first one failed.

    >>> few = ("episodes=2", "evaluation.final_num_episodes=1", "logger=csv", "hydra/launcher=basic")
    >>> variants = {"often": ["target.interval=1"], "seldom": ["target.interval=9"]}
    >>> runs = sweep("how often", *few, variants=variants, seed=range(2), directory="how_often")
    4 of 4 jobs to run
    ...
    How do “often” and “seldom” compare?
    ...
    """
    from dqn_lab.cli.sweep.run import run_sweep
    from dqn_lab.cli.sweep.typed import read_typed

    words, quick = _words(overrides, keys), flag("quick", quick)
    place = None if directory is None else to_write("directory", directory)
    args = Namespace(overrides=words, quick=quick, dry_run=False, report=False, dir=place)
    called = [repr(str(name)), *map(repr, words), *(["quick=True"] if quick else [])]
    called += [] if variants is None else [f"variants={variants!r}"]
    with in_pythons_words(), workplace(f"dqn_lab.sweep({', '.join(called)})", config_dir):
        with _interrupt.before("a job began"):
            read_typed(words)  # or a word that is wrong is blamed on the name
            question = _question(str(name), variants, quick)
        done = run_sweep(question, args, brief=True)
    return _results(done.directory, done.problems, done.num_jobs, describe=question.search is None)


def _words(overrides: Sequence[str], keys: Mapping[str, Any]) -> list[str]:
    """Returns overrides and keywords as text; raises an error for a grid, which only a file can contain."""
    if isinstance(grid := keys.get("grid"), Mapping):
        raise ConfigError(f"grid: each combination is a variant: {as_variants(grid)}")
    return _overrides.spell(overrides, keys)


def _question(name: str, variants: Mapping[str, Sequence[str]] | None, quick: bool) -> Question:
    from dqn_lab.cli.sweep.question import make_question, read_question

    if isinstance(variants, Mapping) and variants and all(map(_are_values, variants.values())):
        raise ConfigError(f"variants: a variant is a list of overrides; for a grid write {as_variants(variants)}")
    return read_question(find_question(name), quick) if variants is None else make_question(name, variants, quick)


def _are_values(own: object) -> bool:
    """Returns whether a variant is a list of values, as in a grid, instead of overrides."""
    return isinstance(own, (list, tuple, range)) and len(own) > 0 and not any("=" in str(each) for each in own)


def _results(place: Path, problems: Sequence[str], num_jobs: int, describe: bool = True) -> pd.DataFrame:
    """Reads a sweep's runs, and prints what they say unless a search has done so; raises an error if none completed."""
    from dqn_lab.analysis import load_configs

    frame = load_configs(place) if any(place.glob(f"*/{RUN}")) else None
    if frame is None or (problems and not frame["status"].eq("completed").any()):
        first = f"; {len(problems)} did not, the first: {problems[0]}" if problems else ""
        raise TrainingError(f"{place}: no job completed{first}")
    frame.attrs["directory"] = str(place)
    if not describe:
        return frame
    more = len(frame) - num_jobs
    earlier = f"With {number_of(more, 'earlier run')} in this directory:\n\n" if more > 0 else ""
    say(f"\n{earlier}{_described(place)}")
    return frame


def _described(directory: Path) -> str:
    """Returns a sweep's question, the table of its variants, and the answers."""
    from dqn_lab.analysis._numbers import largest_in, number
    from dqn_lab.analysis.report.answers import answer_of
    from dqn_lab.analysis.report.evidence import examine
    from dqn_lab.analysis.report.material import gather
    from dqn_lab.analysis.report.question import Options
    from dqn_lab.tasks import apart

    material = gather([directory], Options())
    evidence = [examine(material, task) for task in material.tasks]
    several = len(evidence) > 1
    said = [f"{found.task}: {answer_of(found)}" if several else answer_of(found) for found in evidence]
    said += [apart(material.telling_keys)] if several else []
    rows = [["variant", "runs", f"mean {material.metric.title}", "95 % interval", "successes"]]
    for found in evidence:
        write = functools.partial(number, largest=largest_in(found.summary, "mean", "mean_low", "mean_high"))
        rows += [_cells(row, found.threshold, write) for row in found.summary.to_dict("records")]
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    table = "\n".join("  ".join(map(padded, row, widths)).rstrip() for row in rows)
    hint = f"Figures and tables: dqn_lab.report({shown(directory)!r})"
    return "\n\n".join([wrapped(material.question, 0), table, *(wrapped(text, 0) for text in said), hint])


def _cells(row: dict[Any, Any], threshold: float | None, write: Callable[[float], str]) -> list[str]:
    """Writes a variant's row of the table."""
    from dqn_lab.analysis._numbers import plain
    from dqn_lab.analysis.report.tables import interval

    wins = "–" if threshold is None else f"{row['successes']} of {row['seeds']} at {plain(threshold)} or more"
    spread = interval(row, "mean_low", "mean_high", write)
    return [str(row["variant"]), str(row["seeds"]), write(row["mean"]), spread, wins]


def report(
    *paths: Source,
    out: str | os.PathLike[str] | None = None,
    metric: str | None = None,
    control: str | None = None,
    threshold: float | None = None,
    compare: tuple[str, str] | list[str] | None = None,
    against: str | os.PathLike[str] | None = None,
    videos: bool = False,
    trust: bool = False,
) -> Report:
    """Writes a page that answers a sweep's question, as `python -m dqn_lab report` does.

    Args:
        paths: sweeps' directories, or any directories with runs below them; frames that `sweep` or `load_configs`
            returned, or some of their rows, of which only these runs count; lists of these; or the name of a question
            whose results are included.
        out: where to write; by default `report/` in the first path, or `report-selection/` if the rows of a frame leave
            out some runs of their sweep; of a question, `outputs/answers/NAME`.
        metric: what to compare; by default the sweep's own, else `final_return`.
        control: the variant that others are compared with; by default the sweep's own, else the first.
        threshold: a run succeeds at this return or above; by default the environment's.
        compare: compares only these two variants, or sweeps of one variant: the second with the first.
        against: compare with stored results: another report's `tables/runs.csv`.
        videos: show an episode of each variant's median run.
        trust: with `videos`: whether to import code from outside dqn_lab that the runs name.

    Returns:
        the report's content: the page's path `index`, the `question`, the `answers` by task, the runs' `progress`, and
        a `note` if there are several tasks, which are not compared with one another.

    Raises:
        ConfigError: there are no runs, or an option names something unknown.

    >>> report("nowhere")
    Traceback (most recent call last):
    dqn_lab.errors.ConfigError: nowhere: ...
    """
    from dqn_lab.cli.report import shooter

    stored, target = None if against is None else Path(against), None if out is None else to_write("out", out)
    changed = list[str]()
    shoot = shooter(flag("trust", trust), changed.append) if flag("videos", videos) else None
    found = _write(
        paths, target, shoot, metric=metric, control=control,
        threshold=threshold, compare=_pair(compare), against=stored,
    )  # fmt: skip
    for line in dict.fromkeys(changed):
        warnings.warn(line, UserWarning, stacklevel=2)
    return found


def _pair(compare: Sequence[str] | None) -> tuple[str, str] | None:
    """Returns the two variants to compare."""
    if compare is None:
        return None
    if isinstance(compare, str) or len(compare) != 2 or not all(isinstance(each, str) for each in compare):
        raise ConfigError(f"compare={compare!r}: must be two variants, as in ('periodic', 'polyak')")
    return compare[0], compare[1]


def _write(paths: Sequence[Source], out: Path | None, shoot: Callable[[Path], bytes] | None, **options: Any) -> Report:
    """Writes a report; raises every error that the user can fix as a `ConfigError`."""
    from dqn_lab.analysis import AnalysisError
    from dqn_lab.analysis.places import places_of
    from dqn_lab.analysis.report.question import Options
    from dqn_lab.analysis.report.write import write_report
    from dqn_lab.analysis.shipped import shipped_question

    with in_pythons_words():
        try:
            chosen, places = Options(**options), places_of(paths)
            if shipped_question(places) is None:
                check_results(*(Path(place.path) for place in places))
            return write_report(*places, out=out, options=chosen, shoot=shoot)
        except AnalysisError as error:
            raise ConfigError(str(error)) from None
