"""Searches with Optuna: a trial's score is the mean over its seeds."""

from __future__ import annotations

import functools
import logging
import math
import os
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from omegaconf import DictConfig

from dqn_lab.cli import _hydra, _jobs, _overrides, _worker, fail, say
from dqn_lab.cli._about import CONFIG_DIR
from dqn_lab.cli._compose import compose_config
from dqn_lab.cli._extras import missing_extra
from dqn_lab.cli._text import number_of, score_text, shown, to_copy
from dqn_lab.cli.sweep.launch import master
from dqn_lab.cli.sweep.ledger import read_ledger
from dqn_lab.cli.sweep.plan import names_by_identity
from dqn_lab.cli.sweep.question import Question, Search
from dqn_lab.errors import ConfigError
from dqn_lab.records import (
    RUN,
    final_return,
    identity,
    is_attempt,
    override_key,
    read_record,
    saved_states,
    set_aside,
    slug,
    value_text,
    write_sweep,
)

SWEEPER = "hydra/sweeper=optuna"
MOST_CHECKED = 50  # values per key that are checked before the search
AGAIN = "interrupted; run the same command again to continue"
BEST = 5  # trials shown at the end
LOOK = 1.0  # seconds between two checks of another worker's run


def check_search(question: Question, search: Search, launch: list[str], typed: list[str]) -> DictConfig:
    """Composes trials with every value, builds one, and composes Hydra's own configuration.

    Raises:
        ConfigError: one line per problem.
    """
    shared = [*launch, *_overrides.merge(question.base, typed), f"seed={question.seeds[0]}"]
    problems: list[str] = []
    for one in _trials_that_try_every_value(search.params):
        try:
            trial = compose_config([*shared, *one])
        except ConfigError as error:
            problems += [f"search.params: {problem}" for problem in error.problems]
    if problems:
        raise ConfigError(*dict.fromkeys(problems))
    if missing := missing_extra(SWEEPER):
        raise ConfigError(missing)
    config = master([
        *launch,
        SWEEPER,
        "hydra.sweeper.direction=maximize",
        f"hydra.sweeper.n_trials={search.num_trials}",
        f"hydra.sweeper.n_jobs={search.num_parallel}",
        "hydra.sweeper.sampler.seed=0",  # the same proposals each time, so that an interrupted search continues
        "hydra.sweeper.max_failure_rate=1.0",  # failed trials do not end the search
        "hydra.sweep.subdir='.trials/${hydra.job.num}'",
    ])  # fmt: skip
    _jobs.prepare(trial)
    return config


def _trials_that_try_every_value(params: Mapping[str, str]) -> Iterator[list[str]]:
    """Yields the fewest trials that contain every value."""
    values = {key: _overrides.tried_values(key, text)[:MOST_CHECKED] for key, text in params.items()}
    for number in range(max(map(len, values.values()))):
        yield [f"{key}={tried[min(number, len(tried) - 1)]}" for key, tried in values.items()]


def run_search(
    config: DictConfig,
    question: Question,
    search: Search,
    typed: list[str],
    ledger: dict[str, Any],
    shows: bool = True,
) -> tuple[int, int]:
    """Searches, and shows the best trials.

    Args:
        config: Hydra's part of the configuration.
        question: the question and its seeds.
        search: the search.
        typed: the overrides for every run.
        ledger: the content of `sweep.json` before the first trial.
        shows: whether to print a line for every trial.

    Returns:
        the number of completed trials, and of runs.

    Raises:
        KeyboardInterrupt: the search was interrupted; what has run is recorded.
    """
    directory = Path(config.hydra.sweep.dir)
    write_sweep(directory, {**ledger, **_trials(read_ledger(directory))})
    keys = list(search.params)
    tell: Callable[[str], None] = say if shows else lambda line: None
    task = functools.partial(
        trial, keys=keys, seeds=question.seeds, directory=directory, num_trials=search.num_trials, tell=tell
    )
    sweeper = Plugins.instance().instantiate_sweeper(
        config=config, hydra_context=_hydra.context(config), task_function=task
    )
    logging.getLogger("optuna").setLevel(logging.WARNING)
    shared = _overrides.merge(question.base, typed, ["display=none"])
    try:
        sweeper.sweep([*shared, *(f"{key}={text}" for key, text in search.params.items())])
    except KeyboardInterrupt as error:
        error.args = (AGAIN,)
        raise
    except ValueError as error:  # raised by Optuna if there is no best trial
        fail(str(error), code=1)
    finally:  # record what has run, however the search ends
        found = collect(directory, keys)
        write_sweep(directory, {**ledger, **found})
    return _show(found, directory, shared, max(question.seeds) + 1), len(found["jobs"])


def _trials(ledger: dict[str, Any] | None) -> dict[str, Any]:
    return {key: ledger[key] for key in ("variants", "jobs")} if ledger else {"variants": {}, "jobs": []}


def trial(
    config: DictConfig,
    *,
    keys: list[str],
    seeds: list[int],
    directory: Path,
    num_trials: int,
    tell: Callable[[str], None] = say,
) -> float:
    """Runs one trial, each seed in its own directory; completed runs are read instead.

    Args:
        config: the trial's configuration, composed by Hydra's sweeper.
        keys: the keys that are searched over.
        seeds: the seeds of every trial.
        directory: the sweep's directory.
        num_trials: the number of trials in the search.
        tell: prints a line about the trial.

    Returns:
        the mean over seeds of the final policy's mean return.
    """
    hydra = HydraConfig.get()
    own = [text for text in hydra.overrides.task if override_key(text) in keys]
    scores = []
    with _worker.at_work():
        for seed in seeds:
            config.seed = seed
            experiment = _jobs.prepare(config, hydra)
            known_by = identity(experiment.config)
            path = directory / (names_by_identity(directory).get(known_by) or slug([*own, f"seed={seed}"], known_by))
            record = _completed(path) or _jobs.carry_on(experiment, path)
            scores.append(final_return(record))
    tell(f"trial {hydra.job.num + 1} of {num_trials}: {score_text(fmean(scores))}  {' '.join(own)}")
    return fmean(scores)


def _completed(path: Path) -> dict[str, Any] | None:
    """Returns a completed run's record; sets aside a run that is not completed and cannot continue."""
    try:
        while (record := read_record(path))["status"] == "running":  # another worker is running the same values
            time.sleep(LOOK)
    except ValueError:
        record = {"status": "damaged"}
    if record["status"] == "completed":
        return record

    if path.exists() and not (record["status"] == "interrupted" and saved_states(path)):
        set_aside(path)
    return None


def collect(directory: Path, keys: list[str]) -> dict[str, Any]:
    """Lists a directory's trials as the variants, the best first, and jobs of `sweep.json`."""
    runs = []
    for path in sorted(directory.glob(f"*/{RUN}")):
        if is_attempt(path.parent.name):
            continue
        try:
            record = read_record(path.parent)
        except ValueError:
            continue
        runs.append((path.parent.name, record, {key: _value(record["config"], key) for key in keys}))
    exact: dict[str, set[str]] = {}  # trials by their short labels
    for _, _, values in runs:
        exact.setdefault(_label(values, _rounded), set()).add(_label(values, value_text))
    variants, jobs = {}, []
    for name, record, values in runs:
        label = _label(values, _rounded)
        label = label if len(exact[label]) == 1 else _label(values, value_text)
        variants[label] = [f"{key}={value_text(value)}" for key, value in values.items()]
        jobs.append({"variant": label, "seed": record["seed"], "hash": identity(record["config"]), "directory": name})
    means = _means(directory, jobs)
    ranked = sorted(variants, key=lambda label: (math.isnan(means[label]), -means[label]))
    return {"variants": {label: variants[label] for label in ranked}, "jobs": jobs}


def _means(directory: Path, jobs: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Returns each trial's mean final return; NaN if one of its runs has not completed."""
    scores: dict[str, list[float]] = {}
    for job in jobs:
        scores.setdefault(job["variant"], []).append(final_return(read_record(directory / job["directory"])))
    return {label: fmean(each) for label, each in scores.items()}


def _label(values: Mapping[str, Any], text: Callable[[Any], str]) -> str:
    return ", ".join(f"{key.split('.')[-1]}={text(value)}" for key, value in values.items())


def _rounded(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _value(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config


def _show(found: dict[str, Any], directory: Path, shared: Iterable[str], unused: int) -> int:
    """Prints the best trials, and a command that tests the best one.

    Args:
        found: the variants and jobs of `sweep.json`.
        directory: the search's directory.
        shared: the overrides of every run.
        unused: the first seed that no trial used, nor any after it.

    Returns:
        the number of completed trials.
    """
    means = _means(directory, found["jobs"])
    ranked = [label for label in found["variants"] if not math.isnan(means[label])]
    say(
        f"\n{number_of(len(ranked), 'trial')}, the best first; the winner's score is optimistic: test it on other seeds"
    )
    for label in ranked[:BEST]:
        runs = sum(job["variant"] == label for job in found["jobs"])
        say(f"{label}  mean final return {score_text(means[label])} over {number_of(runs, 'run')}")
    say(to_copy("files", shlex.quote(shown(directory))))
    if ranked:
        own = [f"--config-dir={os.environ[CONFIG_DIR]}"] if CONFIG_DIR in os.environ else []
        own += [text for text in shared if override_key(text) != "display"]
        words = shlex.join([*own, *found["variants"][ranked[0]], f"seed=range({unused},{unused + 30})"])
        say(to_copy("next", words, "python -m dqn_lab train -m"))
    return len(ranked)
