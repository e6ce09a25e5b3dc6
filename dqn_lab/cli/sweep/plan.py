"""The plan of a sweep: every variant composed and built, every job with its identity and directory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dqn_lab.cli import _index, _jobs, _overrides
from dqn_lab.cli._compose import compose_config, plain, with_seed
from dqn_lab.cli._overrides import merge
from dqn_lab.cli._problems import Problems
from dqn_lab.cli.sweep.question import Question
from dqn_lab.errors import ConfigError
from dqn_lab.records import identity, override_key, slug


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of a sweep.

    Args:
        variant: the label of its variant.
        seed: its seed.
        hash: the hash of its configuration, which identifies it.
        directory: its name under the sweep's directory.
        overrides: for Hydra's launchers; the last two are the seed and the directory.
    """

    variant: str
    seed: int
    hash: str
    directory: str
    overrides: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """Returns its entry in `sweep.json`."""
        return {"variant": self.variant, "seed": self.seed, "hash": self.hash, "directory": self.directory}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The jobs of a sweep, each variant's configuration by its overrides, and the warnings."""

    jobs: list[Job]
    composed: dict[tuple[str, ...], DictConfig]
    warnings: list[str] = field(default_factory=list)


def make_plan(question: Question, launch: list[str], typed: list[str], directory: Path | None = None) -> Plan:
    """Composes and builds every variant, and lists the jobs.

    Args:
        question: the question.
        launch: the overrides of Hydra's own part.
        typed: the overrides for every run, from the command line.
        directory: the sweep's directory; runs that exist there keep their directories' names.

    Raises:
        ConfigError: one line per problem, with the variants that have it.
    """
    _refuse_what_is_compared(question, typed)
    problems, warnings = (Problems("variant", len(question.variants)) for _ in range(2))
    configs: dict[str, tuple[tuple[str, ...], DictConfig]] = {}
    for label, own in question.variants.items():
        shared = tuple(merge(question.base, typed, own, ["display=none"]))
        with problems.of(repr(label)):
            configs[label] = shared, compose_config([*launch, *shared, f"seed={question.seeds[0]}"])
        _refuse_unknown(problems, typed)
    if question.problems:
        raise ConfigError(*question.problems, *problems.lines())
    problems.refuse()  # before torch is imported
    jobs: list[Job] = []
    there = names_by_identity(directory)
    for label, (shared, config) in configs.items():
        with problems.of(repr(label)):
            experiment = _jobs.prepare(config)
            warnings.add(repr(label), experiment.warnings)
            hashes = _identities(config, experiment.config, question.seeds)
            jobs += _jobs_of(label, question.variants[label], shared, hashes, there)
    problems.refuse()
    composed = dict(configs.values())
    return Plan(
        jobs=_share_directories(jobs),
        composed=composed,
        warnings=[*warnings.lines(), *_identical_variants(jobs, typed)],
    )


def _refuse_unknown(problems: Problems, typed: list[str]) -> None:
    """Refuses typed keys that no option has, after composing one variant, to save composing the others.

    Raises:
        ConfigError: there are such keys; lists every problem of the typed overrides.
    """
    found = [problem for problem in problems.found if problem.startswith(tuple(f"{text}:" for text in typed))]
    if any(": no such key; " in problem for problem in found):
        raise ConfigError(*(f"every variant: {problem}" for problem in found))


def _refuse_what_is_compared(question: Question, typed: list[str]) -> None:
    compared = {override_key(text) for own in question.variants.values() for text in own}
    found = [text for text in typed if override_key(text) in compared]
    if found:
        raise ConfigError(*(f"{text}: is what {question.name} compares" for text in found))


def _identical_variants(jobs: list[Job], typed: list[str]) -> list[str]:
    """Finds variants that are the same.

    Raises:
        ConfigError: the overrides from the command line make them the same.
    """
    hashes: dict[str, list[str]] = {}
    for job in jobs:
        hashes.setdefault(job.variant, []).append(job.hash)
    first: dict[tuple[str, ...], str] = {}
    pairs = [(first.setdefault(tuple(own), label), label) for label, own in hashes.items()]
    same = [f"variants {one!r} and {other!r} are the same runs" for one, other in pairs if one != other]
    if same and typed:
        why = f"they set only defaults, or what is set for every run: {', '.join(typed)}"
        raise ConfigError(*(f"{text}: {why}" for text in same))
    return same


def _identities(config: DictConfig, validated: Mapping[str, Any], seeds: list[int]) -> dict[int, str]:
    """Returns the identity of a variant's job by its seed."""
    if _interpolates(config):
        return {seed: identity(_index.validate(plain(with_seed(config, seed)))) for seed in seeds}
    return {seed: identity({**validated, "seed": seed}) for seed in seeds}


def _interpolates(config: DictConfig) -> bool:
    """Returns whether a value may depend on the seed: only an interpolation can."""
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return "${" in json.dumps(OmegaConf.to_container(own, resolve=False))


def _jobs_of(
    label: str, own: list[str], shared: tuple[str, ...], hashes: Mapping[int, str], there: Mapping[str, str]
) -> Iterator[Job]:
    for seed, known_by in hashes.items():
        directory = there.get(known_by) or slug([*own, f"seed={seed}"], known_by)
        overrides = (*shared, f"seed={seed}", f"hydra.sweep.subdir={_overrides.quote(directory)}")
        yield Job(variant=label, seed=seed, hash=known_by, directory=directory, overrides=overrides)


def _share_directories(jobs: list[Job]) -> list[Job]:
    """Makes jobs with the same configuration share one directory: they are one run.

    Raises:
        ConfigError: two seeds' configurations have the same hash by chance.
    """
    first: dict[str, Job] = {}
    for job in jobs:
        one = first.setdefault(job.hash, job)
        if one.seed != job.seed:
            why = f"have the same hash, {job.hash}, by chance; leave one of them out"
            raise ConfigError(f"seed={one.seed} of {one.variant!r} and seed={job.seed} of {job.variant!r}: {why}")
    return [
        Job(variant=job.variant, seed=job.seed, hash=job.hash, directory=first[job.hash].directory,
            overrides=first[job.hash].overrides)
        for job in jobs
    ]  # fmt: skip


def once(jobs: list[Job]) -> list[Job]:
    """Returns one job for each directory."""
    return list({job.directory: job for job in reversed(jobs)}.values())[::-1]


def names_by_identity(directory: Path | None) -> dict[str, str]:
    """Returns the name of each run's directory by its identity; older versions may have named it differently."""
    names = [path.name for path in directory.iterdir()] if directory is not None and directory.is_dir() else []
    return {match[1]: name for name in names if (match := re.fullmatch(r".+-([0-9a-f]{8})", name))}
