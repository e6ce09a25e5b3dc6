"""Pages of HTML: templates in the lab's style, and directories that are written completely or not at all."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dqn_lab.analysis._errors import AnalysisError
from dqn_lab.analysis.figures.style import COLOURS

CSS = Path(__file__).with_name("page.css")


def render(
    template: Path,
    *,
    filters: Mapping[str, Callable[..., Any]] | None = None,
    finalize: Callable[[Any], Any] | None = None,
    **values: Any,
) -> str:
    """Renders a template, with the lab's style sheet as `css` and its colours as `light` and `dark`.

    Args:
        template: its path.
        filters: further filters.
        finalize: changes each value that is written.
        values: what the template needs.
    """
    loader = Environment(
        loader=FileSystemLoader(template.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=finalize,
    )  # fmt: skip
    loader.filters.update(filters or {})
    light, dark = ("".join(f"--{name}:{pair[which]};" for name, pair in COLOURS.items()) for which in (0, 1))
    css = CSS.read_text(encoding="utf-8")
    return loader.get_template(template.name).render(css=css, light=light, dark=dark, **values)


def refuse_other_things(target: Path, mark: str, kind: str) -> None:
    """Refuses a directory that holds something else than an earlier page.

    Args:
        target: the directory.
        mark: what `index.html` contains if it is such a page.
        kind: what such a page is called.

    Raises:
        AnalysisError: it does.
    """
    if not target.exists():
        return
    try:
        ours = mark in (target / "index.html").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        ours = target.is_dir() and not any(target.iterdir())
    if not ours:
        raise AnalysisError(f"{target}: exists already and is not {kind}; choose another directory with --out")


def write_directory(target: Path, fill: Callable[[Path], None]) -> None:
    """Writes a directory completely or not at all, in place of an earlier one.

    Args:
        target: the directory.
        fill: writes into a directory, which it creates.

    Raises:
        OSError: the directory cannot be written; an earlier one is kept.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _clean_up(target)
    fresh = target.with_name(f".{target.name}-new-{os.getpid()}")
    try:
        fill(fresh)
        _replace(target, fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _replace(target: Path, fresh: Path) -> None:
    """Replaces a directory; if the process is killed in between, `_clean_up` restores the old one."""
    if target.exists():
        old = target.with_name(f".{target.name}-old-{os.getpid()}")
        target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        fresh.rename(target)


def _clean_up(target: Path) -> None:
    """Removes what killed processes left next to a directory; restores an old one if there is no other."""
    for left in sorted(target.parent.glob(f".{glob.escape(target.name)}-*-*")):
        _, kind, process = left.name.rsplit("-", 2)
        if kind not in ("new", "old") or not process.isdigit() or _runs(int(process)):
            continue
        if kind == "old" and not target.exists():
            left.rename(target)
        else:
            shutil.rmtree(left, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return process != os.getpid()
