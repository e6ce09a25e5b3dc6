"""An argument parser whose errors are one line."""

from __future__ import annotations

import argparse
import difflib
from typing import NoReturn

from dqn_lab.cli import fail


class Parser(argparse.ArgumentParser):
    """Reports a bad argument on one line of stderr, with the nearest option, and exits with code 2."""

    def error(self, message: str) -> NoReturn:
        raise SystemExit(fail(f"{message}{self._hint(message)} (see --help)"))

    def _hint(self, message: str) -> str:
        if not message.startswith("unrecognized arguments: "):
            return ""
        flags = [flag for action in self._actions for flag in action.option_strings]
        close = difflib.get_close_matches(message.split()[2], flags, n=1)
        return f"; did you mean {close[0]}?" if close else ""
