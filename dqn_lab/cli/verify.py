"""`verify`: repeats a run and compares its results byte for byte."""

from __future__ import annotations

import argparse
import csv
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from dqn_lab._nearest import nearest
from dqn_lab._outside import UNSAVED, changed_since, outside_names
from dqn_lab.cli import _interrupt
from dqn_lab.cli._outcome import one_line_errors
from dqn_lab.cli._parser import Parser
from dqn_lab.cli._policy import open_policy
from dqn_lab.cli._runs import check_run, engine_of
from dqn_lab.cli._text import fitting, number_of, score_text
from dqn_lab.cli._trust import add_trust, check_trust
from dqn_lab.errors import ConfigError
from dqn_lab.records import RUN, override_key, read_record
from dqn_lab.settings import DisplayName

TABLES = ("episodes", "evaluations")


@dataclass(frozen=True, repr=False)
class Verification:
    """The result of repeating a run; true if nothing differs.

    Args:
        summary: one line that says what is the same, or that something differs.
        differences: one line per difference, then how this machine differs; empty if nothing differs.
    """

    summary: str
    differences: Sequence[str] = ()

    def __bool__(self) -> bool:
        return not self.differences

    def __repr__(self) -> str:
        return "\n  ".join([self.summary, *self.differences])


@one_line_errors
def main(argv: list[str]) -> int:
    """Repeats a run; returns the exit code: 0 equal, 1 different, 2 bad input."""
    args = _parser().parse_intermixed_args(argv)
    from dqn_lab.cli._compose import as_config_error

    with _interrupt.listening(), as_config_error():
        found = verify(args.run, evaluate=args.evaluate, trust=args.trust, display=_display(args.overrides))
    print("\n".join(fitting(line, 4) for line in repr(found).splitlines()))
    return int(not found)


def verify(run: Path, *, evaluate: bool, trust: bool, display: str) -> Verification:
    """Repeats a run and compares its results.

    Args:
        run: the run's directory.
        evaluate: only replay the final policy's evaluation episodes.
        trust: allow importing code outside dqn_lab that the run's configuration names.
        display: how to show progress, as in a configuration.

    Raises:
        ConfigError: there is no run, it is not completed, or there is no such display.
    """
    check_run(run)
    if display not in (choices := get_args(DisplayName)):
        raise ConfigError(f"display={display}: no such choice; {nearest(display, choices)}")
    record = read_record(run)
    if record["status"] != "completed":
        raise ConfigError(f"{run}: is {record['status']}; only a completed run can be verified")
    with _interrupt.before("the run was verified"):
        differences = list(_scores(run, record, trust) if evaluate else _tables(run, record, trust, display))
    if not differences:
        changed = changed_since(record)
        despite = f", although {' and '.join(changed)} changed since the run began" if changed else ""
        return Verification(f"verified: {_score(record) if evaluate else _rows(run)}{despite}")
    lines = [*differences, *_circumstances(record)]
    return Verification("not verified: repeating the run gave different results", lines)


def _display(overrides: Sequence[str]) -> str:
    """Returns the requested display, the only setting that may differ from the run's own.

    Raises:
        ConfigError: another key was set.
    """
    for text in overrides:
        if override_key(text) != "display":
            raise ConfigError(f"{text}: verify repeats a run with its own settings; only display=… can be set")
    return overrides[-1].partition("=")[2] if overrides else "auto"


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dqn_lab verify",
        description="Repeats a completed run in a temporary directory, from the configuration in its run.json, and "
        "compares episodes.csv and evaluations.csv byte for byte. Does not change the run.",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run's directory")
    parser.add_argument("overrides", metavar="display=…", nargs="*", help="how to show progress, as for `train`")
    parser.add_argument(
        "--evaluate", action="store_true", help="only replay the final policy's evaluation, and compare the score"
    )
    add_trust(parser)
    return parser


def _tables(run: Path, record: dict[str, Any], trust: bool, display: str) -> Iterator[str]:
    """Trains again, and yields a line for each table that differs."""
    from dqn_lab.build import build, validate
    from dqn_lab.cli._display import make_display
    from dqn_lab.cli._jobs import carry_out

    missing = [name for name in TABLES if not (run / f"{name}.csv").is_file()]
    if missing:
        raise ConfigError(f"{run}: has no {missing[0]}.csv to compare with")
    once_more = {"logger": {"csv": {"name": "csv"}}, "checkpoint": {"interval": None}, "display": display}
    config = {**record["config"], **once_more}
    check_trust(config, record, trust)
    config = validate(config)
    experiment = build({**config, "engine": engine_of(record, config)})
    with tempfile.TemporaryDirectory(prefix="dqn_lab-verify-") as name:
        again = Path(name)
        made = carry_out(experiment, again, lambda each: make_display(display, each))
        for table in TABLES:
            yield from _difference(run / f"{table}.csv", again / f"{table}.csv")
        record["engine here"] = made["engine"]["name"]


def _difference(recorded: Path, again: Path) -> Iterator[str]:
    """Yields where two tables differ first, if they do."""
    if recorded.read_bytes() == again.read_bytes():
        return
    tables = []
    for path in (recorded, again):
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            tables.append(list(csv.reader(file)))
    header = tables[1][0]
    for number, (old, new) in enumerate(itertools.zip_longest(*tables)):
        if old is None or new is None:
            there, here = (len(table) - 1 for table in tables)
            yield f"{recorded.name}: {there} rows recorded, {here} now; the rows that both have are equal"
            return
        if old != new:
            cells = zip(header, old, new, strict=False)
            changed = [f"{name} was {was}, is {now}" for name, was, now in cells if was != now]
            yield f"{recorded.name}: differs from row {number} on: {', '.join(changed) or 'its formatting'}"
            return
    yield f"{recorded.name}: the same values, formatted differently"


def _scores(run: Path, record: dict[str, Any], trust: bool) -> Iterator[str]:
    """Replays the final policy's evaluation episodes, and yields a line if the score differs.

    Raises:
        ConfigError: no score is recorded, or there is no policy.
    """
    from dqn_lab.evaluate import evaluate, summarize

    recorded = (record.get("scores") or {}).get("final")
    if not recorded:
        raise ConfigError(f"{run}: its {RUN} has no score of the final policy to compare with")
    experiment = open_policy(run, "final", trust, tell=lambda _: None).experiment
    rng = experiment.streams.fresh("evaluation final")
    agent, number = experiment.agent, experiment.final_num_episodes
    episodes = evaluate(agent.greedy, experiment.make_env, rng, number, agent.engine)
    for name, now in summarize(list(episodes)).items():
        if recorded.get(name) != now:
            yield f"{name} of the final policy: {recorded.get(name)} is recorded, now it is {now}"


def _rows(run: Path) -> str:
    counts = [(run / f"{table}.csv").read_bytes().count(b"\n") - 1 for table in TABLES]
    rows = [f"{number_of(count, 'row')} of {table}.csv" for table, count in zip(TABLES, counts, strict=True)]
    return f"{' and '.join(rows)} are the same, byte for byte"


def _score(record: dict[str, Any]) -> str:
    score = record["scores"]["final"]
    mean = f"{score_text(score['return_mean'])} over {score['episodes']} episodes"
    return f"the final policy's mean return is the same, {mean}"


def _circumstances(record: dict[str, Any]) -> Iterator[str]:
    """Yields each difference between this machine and the record."""
    from dqn_lab.cli._about import about

    here = about()
    versions = {**(record.get("versions") or {})}
    for name, now in here["versions"].items():
        if versions.get(name) != now:
            yield f"{name} was {versions.get(name)}, is {now} here"
    if record.get("host") != here["host"]:
        yield f"the run was made on {record.get('host')}, but this machine is {here['host']}"
    if (record.get("git") or {}) != (here["git"] or {}):
        yield f"the code was at {_commit(record.get('git'))}, is at {_commit(here['git'])} here"
    engine = (record.get("engine") or {}).get("name")
    if (engine_here := record.get("engine here", engine)) != engine:
        yield f"the engine was {engine}, is {engine_here} here"
    changed = changed_since(record)
    for name in changed:
        yield f"{name} has changed since the run began"
    if record.get("resumed") and not changed:
        yield f"the run was resumed{_why_it_may_differ(record)}"


def _why_it_may_differ(record: dict[str, Any]) -> str:
    """Returns why a resumed run may differ from an uninterrupted one: state that was not saved, or another budget."""
    if known := [line for line in record.get("warnings") or () if UNSAVED in line]:
        return f", and {known[0]}"
    if outside := sorted(outside_names({**record["config"], "logger": {}})):
        return f": a `state_dict` of {', '.join(outside)} may omit something that changes during a run"
    return ", maybe with another budget or other evaluations"


def _commit(git: dict[str, Any] | None) -> str:
    return f"{git['commit'][:9]}{' with changes' if git.get('changed') else ''}" if git else "no commit"
