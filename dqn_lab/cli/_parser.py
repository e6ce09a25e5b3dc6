"""An argument parser whose errors are one line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from dqn_lab._nearest import did_you_mean
from dqn_lab.cli import fail


class Parser(argparse.ArgumentParser):
    """Reports a bad argument on one line of stderr, with the nearest option, and exits with code 2."""

    typed: Sequence[str] = ()

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)  # a flag has one spelling, also in a recorded command

    def parse_intermixed_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses, and remembers what was typed for error messages."""
        self.typed = list(args or ())
        return super().parse_intermixed_args(args, namespace)

    def _pairs(self, flags: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yields each of these flags with its value: what follows its equals sign, or the next word typed."""
        following = dict(zip(self.typed, self.typed[1:], strict=False))
        for flag in flags:
            name, equals, value = flag.partition("=")
            after = following.get(flag, "…")
            yield name, value if equals else "…" if after.startswith("-") else after

    def error(self, message: str) -> NoReturn:
        for action in self._actions:
            if action.nargs == "*":  # argparse reports it as missing, though it is optional
                message = message.replace(f", {action.metavar}", "")
        raise SystemExit(fail(f"{message}{self._hint(message)} (see --help)"))

    def _hint(self, message: str) -> str:
        if not message.startswith("unrecognized arguments: "):
            return ""
        from dqn_lab.cli._translations import OF_A_QUESTION, is_an_override, of_a_question, written

        flags = [flag for action in self._actions for flag in action.option_strings]
        words = message.split()[2:]
        flag = words[0].partition("=")[0]
        name = flag.lstrip("-")
        if name == "resume":
            return "; `python -m dqn_lab resume RUN` continues a run"
        if (
            self.prog.endswith((" train", " sweep", " resume"))
            and name.replace("-", "_").isidentifier()
            and words[0] not in flags
        ):
            unknown = [word for word in words if word.startswith("--")]
            pairs = [(name.lstrip("-").replace("-", "_"), value) for name, value in self._pairs(unknown)]
            if self.prog.endswith(" sweep") and (of_it := [pair for pair in pairs if pair[0] in OF_A_QUESTION]):
                return f"; {'; '.join(of_a_question(*pair) for pair in of_it)}"
            if explained := [written(*pair) for pair in pairs if not is_an_override(pair[0])]:
                return f"; {'; '.join(explained)}"
            keys = [written(*pair) for pair in pairs]
            meant = did_you_mean(flag, flags, likeness=0.8) or f"a key is set without dashes: {' '.join(keys)}"
        else:
            meant = did_you_mean(words[0], flags)
        return f"; {meant.rstrip()}" if meant else ""


def directory(text: str) -> Path:
    """Reads the name of a directory to write to, which must not be the current one."""
    path = Path(text)
    if not path.name or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r}: must name a directory")
    return path


def natural(text: str) -> int:
    """Reads a whole number of at least 0, such as `1000`, `1e3` or `1_000`."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 2**53 or not value.is_integer():
        most = ", at most 2^53" if value > 2**53 else ""
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number, at least 0{most}")
    return int(value)


def positive(text: str) -> int:
    """Reads a whole number of at least 1."""
    value = natural(text)
    if not 1 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text}: must be at least 1, at most 1,000,000")
    return value
