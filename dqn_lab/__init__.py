"""A bench for deep Q-networks: change one piece, hold the rest fixed, see what happens."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dqn_lab.analysis.report.write import Report
    from dqn_lab.api import evaluate, load, resume, train, verify
    from dqn_lab.cli.verify import Verification
    from dqn_lab.errors import ConfigError, TrainingError
    from dqn_lab.handle import Run
    from dqn_lab.questions import report, sweep

__version__ = "0.1.0"
_ORIGINS = {
    **dict.fromkeys(("evaluate", "load", "resume", "train", "verify"), "dqn_lab.api"),
    **dict.fromkeys(("report", "sweep"), "dqn_lab.questions"),
    **dict.fromkeys(("ConfigError", "TrainingError"), "dqn_lab.errors"),
    "Report": "dqn_lab.analysis.report.write", "Run": "dqn_lab.handle", "Verification": "dqn_lab.cli.verify",
}  # fmt: skip
__all__ = ["ConfigError", "Report", "Run", "TrainingError", "Verification", "evaluate", "load", "report", "resume",
           "sweep", "train", "verify"]  # fmt: skip

if not TYPE_CHECKING:  # a type checker would take any name for one of the package's

    def __getattr__(name: str) -> object:
        """Imports a name of the Python interface when it is first used: `import dqn_lab` itself is instant."""
        if name not in _ORIGINS:
            raise AttributeError(f"module 'dqn_lab' has no attribute {name!r}")
        return getattr(importlib.import_module(_ORIGINS[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


class _Package(ModuleType):
    """The package: importing its module `train` does not overwrite the function `train`."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _ORIGINS or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
