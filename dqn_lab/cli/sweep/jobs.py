"""The jobs of a sweep or a grid: composed and built before the first starts, each with its identity and directory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dqn_lab.cli import _index, _jobs, _overrides, status
from dqn_lab.cli._compose import compose_config, plain, with_seed
from dqn_lab.cli._hydra import about_jobs
from dqn_lab.cli._overrides import split_seed
from dqn_lab.cli._problems import Problems
from dqn_lab.cli._summary import engine_note
from dqn_lab.records import identity


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run of a sweep or a grid.

    Args:
        variant: the label of its variant.
        seed: its seed.
        hash: the hash of its configuration, which identifies it.
        directory: the name of its directory.
        overrides: for Hydra's launchers; the last one is the directory.
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
class Draft:
    """A job that is not composed yet.

    Args:
        number: its number, from 0.
        name: what messages call it, or its variant.
        variant: the label of its variant.
        overrides: all of them, Hydra's own and the seed included.
    """

    number: int
    name: str
    variant: str
    overrides: tuple[str, ...]

    def configuration(self, first: DictConfig) -> DictConfig:
        """Returns its configuration, given that of a job that differs only in its seed."""
        return with_seed(first, split_seed(self.overrides)[1], number=self.number)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The jobs of a sweep or a grid; each variant's configuration, by its overrides without the seed; what to print."""

    jobs: list[Job]
    composed: dict[tuple[str, ...], DictConfig]
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan_jobs(
    drafts: Sequence[Draft],
    problems: Problems,
    warnings: Problems,
    name: Callable[[Draft, DictConfig, str], str],
    check: Callable[[], None] = lambda: None,
) -> Plan:
    """Composes and builds jobs, of those that differ only in their seeds the first, and names their directories.

    Args:
        drafts: the jobs.
        problems: collects what is wrong; what is wrong already is reported with it.
        warnings: collects the warnings.
        name: names a job's directory, from the job, the configuration of its variant's first job, and its hash.
        check: called after each composition.

    Raises:
        ConfigError: one line per problem.
    """
    variants = _variants(drafts)
    configs: dict[tuple[str, ...], DictConfig] = {}
    for shared, same in variants.items():
        status(f"checking job {same[0].number + 1} of {len(drafts)}")
        with problems.of(*(draft.name for draft in same)):
            configs[shared] = compose_config(list(same[0].overrides), same[0].number)
        check()
    problems.refuse()  # before torch is imported
    jobs, notes = dict[int, Job](), list[str]()
    for shared, config in configs.items():
        names = [draft.name for draft in variants[shared]]
        with problems.of(*names):
            experiment = _jobs.prepare(config)
            warnings.add(experiment.warnings, *names)
            notes.append(engine_note(experiment))
            for draft, values in _values(variants[shared], config, experiment.config):
                known_by = identity(values)
                with problems.of(draft.name):
                    jobs[draft.number] = _job(draft, values["seed"], known_by, name(draft, config, known_by))
    problems.refuse()
    composed = {about_jobs(shared): config for shared, config in configs.items()}
    told = list(filter(None, dict.fromkeys(notes)))
    return Plan(jobs=[jobs[number] for number in sorted(jobs)], composed=composed, notes=told)


def _variants(drafts: Sequence[Draft]) -> dict[tuple[str, ...], list[Draft]]:
    """Groups the jobs that differ only in their seeds, by their other overrides."""
    found: dict[tuple[str, ...], list[Draft]] = {}
    for draft in drafts:
        found.setdefault(split_seed(draft.overrides)[0], []).append(draft)
    return found


def _values(
    drafts: Sequence[Draft], config: DictConfig, validated: Mapping[str, Any]
) -> Iterator[tuple[Draft, dict[str, Any]]]:
    """Yields the validated configurations of jobs that differ only in their seeds, given that of the first."""
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    follows = "${" in json.dumps(OmegaConf.to_container(own, resolve=False))  # only then may more than the seed differ
    for draft in drafts:
        if follows:
            yield draft, _index.validate(plain(draft.configuration(config)))
        else:
            seed = split_seed(draft.overrides)[1]
            yield draft, {**validated, "seed": validated["seed"] if seed is None else seed}


def _job(draft: Draft, seed: int, known_by: str, directory: str) -> Job:
    overrides = (*about_jobs(draft.overrides), f"hydra.sweep.subdir={_overrides.quote(directory)}")
    return Job(variant=draft.variant, seed=seed, hash=known_by, directory=directory, overrides=overrides)


def once(jobs: list[Job]) -> list[Job]:
    """Returns one job for each directory."""
    return list({job.directory: job for job in reversed(jobs)}.values())[::-1]
