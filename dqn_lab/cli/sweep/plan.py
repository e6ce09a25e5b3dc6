"""The plan of a question: the jobs of every variant with every seed."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path

from omegaconf import DictConfig

from dqn_lab.cli._overrides import merge
from dqn_lab.cli._problems import Problems
from dqn_lab.cli.sweep.jobs import Draft, Job, Plan, plan_jobs
from dqn_lab.cli.sweep.question import Question
from dqn_lab.errors import ConfigError
from dqn_lab.records import override_key, slug


def make_plan(question: Question, launch: list[str], typed: list[str], directory: Path | None = None) -> Plan:
    """Plans every variant of a question with every seed.

    Args:
        question: the question.
        launch: the overrides of Hydra's own part.
        typed: the overrides for every run, from the command line.
        directory: the sweep's directory; runs that exist there keep their directories' names.

    Raises:
        ConfigError: one line per problem, with the variants that have it.
    """
    _refuse_what_is_compared(question, typed)
    problems = Problems("variant", len(question.variants), question.problems)
    warnings = Problems("variant", len(question.variants))
    words = {label: [*launch, *merge(question.base, typed, own, ["display=none"])]
             for label, own in question.variants.items()}  # fmt: skip
    drafts = [
        Draft(number=number, name=repr(label), variant=label, overrides=(*words[label], f"seed={seed}"))
        for number, (label, seed) in enumerate(itertools.product(words, question.seeds))
    ]
    there = names_by_identity(directory)

    def name(draft: Draft, _: DictConfig, known_by: str) -> str:
        return there.get(known_by) or slug([*question.variants[draft.variant], draft.overrides[-1]], known_by)

    plan = plan_jobs(drafts, problems, warnings, name, lambda: _refuse_unknown(problems, typed))
    jobs = _share_directories(plan.jobs)
    return dataclasses.replace(plan, jobs=jobs, warnings=[*warnings.lines(), *_identical_variants(jobs, typed)])


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
        raise ConfigError(*(f"{text}: is what {question.name} compares; leave it out" for text in found))


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


def names_by_identity(directory: Path | None) -> dict[str, str]:
    """Returns the name of each run's directory by its identity, whatever the rest of its name is."""
    names = [path.name for path in directory.iterdir()] if directory is not None and directory.is_dir() else []
    return {match[1]: name for name in names if (match := re.fullmatch(r".+-([0-9a-f]{8})", name))}
