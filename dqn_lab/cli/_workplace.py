"""Isolates a call from Python, so that no global state is left changed."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from omegaconf.basecontainer import BaseContainer

from dqn_lab import interrupt
from dqn_lab._nearest import NUMBER
from dqn_lab._outside import forget_changed, importing, located, outside_names
from dqn_lab.cli import WARNED, _directories
from dqn_lab.cli._about import COMMAND, CONFIG_DIR
from dqn_lab.cli._compose import as_config_error, composer
from dqn_lab.cli._interrupt import where_interrupted
from dqn_lab.cli._text import shown
from dqn_lab.cli._worker import PARENT
from dqn_lab.errors import TRACEBACK, ConfigError, StateError, TrainingError, one_line

if TYPE_CHECKING:
    from dqn_lab.train import Experiment

KEYWORDS = {  # the command line's words, and their equivalents in Python
    "--config-dir DIR": "config_dir=DIR", "--config-dir": "config_dir", "--dir": "directory=…", "--out": "out=…",
    "--policy": "policy", "--quick": "quick=True", "--trust": "trust=True",
    "several runs are `train -m seed=0,1,2`": "several are dqn_lab.sweep(name, variants={'one': []}, seed=range(3))",
    "several need `train -m seed=0,1,2`": "dqn_lab.sweep takes several",
    "run the same command again": "make the same call again",
}  # fmt: skip
PHRASES = {  # what a message says to write or names, and the same in Python
    r"write seed='((?:\[|range\()[^']*)'": r"write seed=\1",
    r"write hydra\.run\.dir='?([^';]*)'?": r"write directory='\1'",
    r"write config_dir '?([^';]+)'?": r"write config_dir='\1'",
    r"write (hydra[./]\S+=\S+)": r"write '\1'",
    r"--(against|compare) ": r"\1=",
    r"--(against|videos):": r"\1:",
    r"`report DIR --(\w+) ([^`]*)`": r"dqn_lab.report(DIR, \1='\2')",
    r"`python -m dqn_lab resume [^`]*`": "dqn_lab.resume",
}
SEVERAL = re.compile(
    r"(?P<key>[\w.]+)=(?P<values>[^:]*): several values (need `train -m`|belong in the question's file; .* `train -m`)"
)


_turn = threading.RLock()  # held by the thread whose call is under way: what a call changes is the whole process's


@contextlib.contextmanager
def workplace(command: str, config_dir: str | os.PathLike[str] | None) -> Iterator[None]:
    """Runs a call with its own Hydra, environment variables and module path, and restores the previous ones.

    Raises:
        ConfigError: another thread's call is under way, or a component's module makes the call when it is imported.
    """
    if importing:
        called, name = command.partition("(")[0], importing[-1]
        hint = 'write the call below `if __name__ == "__main__":`'
        raise ConfigError(f"{called}: is called while {name} is imported for its component; {hint}")
    if not _turn.acquire(blocking=False):
        why = "another thread's call is under way, and a process runs one at a time"
        hint = "for several runs at once use dqn_lab.sweep, or processes"
        raise ConfigError(f"{command.partition('(')[0]}: {why}; {hint}")
    try:
        with _isolated(command, config_dir):
            yield
    finally:
        _turn.release()


@contextlib.contextmanager
def _isolated(command: str, config_dir: str | os.PathLike[str] | None) -> Iterator[None]:
    environment = dict(os.environ)
    path, instances, resolvers = list(sys.path), Singleton._instances, dict(BaseContainer._resolvers)
    store: Any = ConfigStore.instance()
    handlers, hook = {number: signal.getsignal(number) for number in interrupt.heeded()}, sys.unraisablehook
    interrupt.asked.begin()  # an earlier call may have been interrupted
    Singleton._instances = {type(store): store}  # Hydra's own configuration is in it
    try:
        os.environ.update({COMMAND: command, "HYDRA_FULL_ERROR": "1", WARNED: ""})
        _directories.add_directories(None if config_dir is None else os.fspath(config_dir))
        with as_config_error(), composer():
            forget_changed()
            yield
    finally:
        Singleton._instances, BaseContainer._resolvers = instances, resolvers
        sys.path[:], sys.unraisablehook = path, hook
        for number, handler in handlers.items():  # a sweep that was interrupted ignores further signals
            signal.signal(number, handler)
        for name in {COMMAND, CONFIG_DIR, PARENT, WARNED, "HYDRA_FULL_ERROR", "PYTHONPATH", "TORCHINDUCTOR_CACHE_DIR"}:
            os.environ.pop(name, None)
            os.environ.update({name: environment[name]} if name in environment else {})


@contextlib.contextmanager
def in_pythons_words() -> Iterator[None]:
    """Converts errors as `as_config_error` does, and names keywords in place of the command line's flags.

    Errors that end a run are raised without the chain of their causes, which is in the run's `train.log`.
    """
    try:
        with as_config_error():
            yield
    except ConfigError as error:
        raise ConfigError(*map(_in_pythons_words, error.problems)) from None
    except TrainingError as error:
        raise TrainingError(_in_pythons_words(str(error))) from None
    except StateError as error:  # a run that cannot continue
        raise ConfigError(_in_pythons_words(str(error))) from None
    except OSError as error:  # such as a run's directory that cannot be written
        raise ConfigError(f"{error.filename}: {error.strerror}" if error.filename else one_line(error)) from None
    except KeyboardInterrupt as error:  # a long chain of errors would say nothing
        number = error.number if isinstance(error, interrupt.Interrupted) else signal.SIGINT
        raise interrupt.Interrupted(number, text=_in_pythons_words(str(error)) or "interrupted") from None


def as_variants(grid: Mapping[str, Iterable[Any]]) -> str:
    """Writes a grid as the `variants` that `dqn_lab.sweep` takes."""
    loops = "".join(f" for {name} in {_tuple(values)}" for name, values in zip("abcdefgh", grid.values(), strict=False))
    words = [f"{key}={{{name}}}" for key, name in zip(grid, "abcdefgh", strict=False)]
    return f"variants={{f{', '.join(words)!r}: [{', '.join(f'f{word!r}' for word in words)}]{loops}}}"


def _tuple(values: Iterable[Any]) -> str:
    shown = [str(value) if re.fullmatch(NUMBER, str(value)) else repr(value) for value in values]
    return f"({', '.join(shown)}{',' if len(shown) == 1 else ''})"


def _several(found: re.Match[str]) -> str:
    """Says in Python's words how to try several values of a key."""
    key, values = found["key"], found["values"]
    shown = as_variants({key: values.split(",")}) if re.fullmatch(r"[-+\w.]+(,[-+\w.]+)+", values) else "variants={…}"
    return f"{key}={values}: several values are variants: dqn_lab.sweep(name, {shown})"


def _in_pythons_words(text: str) -> str:
    text = SEVERAL.sub(_several, text)
    for flag, keyword in KEYWORDS.items():
        text = re.sub(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", keyword, text)
    for phrase, ours in PHRASES.items():
        text = re.sub(phrase, ours, text)
    return text


@contextlib.contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Writes the package's log to a file, and its warnings to the terminal too."""
    log = logging.getLogger("dqn_lab")
    handlers = logging.FileHandler(path, encoding="utf-8"), logging.StreamHandler()
    handlers[0].setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handlers[1].setFormatter(logging.Formatter("warning: %(message)s"))
    handlers[1].setLevel(logging.WARNING)
    level = log.level
    for handler in handlers:
        log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(level)
        for handler in handlers:
            log.removeHandler(handler)
            with contextlib.suppress(OSError):  # a full disk
                handler.close()


@contextlib.contextmanager
def ends_explained(experiment: Experiment, directory: Path) -> Iterator[None]:
    """Adds to the error that ends a run how to continue the run, or where to find the traceback."""
    place = shown(directory)
    try:
        yield
    except KeyboardInterrupt as error:
        said, resumes = where_interrupted(experiment, directory)
        trust = ", trust=True" if outside_names(experiment.config) else ""
        hint = f"; dqn_lab.resume({place!r}{trust}) continues it" if resumes else ""
        error.args = (f"{said}; {place}{hint}",)
        raise
    except (ConfigError, StateError):  # the run did not begin
        raise
    except Exception as error:
        hint = f"; the traceback is in {shown(directory / 'train.log')}"
        said = located(error).replace(TRACEBACK, "")
        raise TrainingError(f"{said}{hint}")  # noqa: B904 (`from` a StopIteration, contextlib would raise that)
