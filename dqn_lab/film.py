"""Episodes as pictures: drawn by the environment, labelled, one or several side by side."""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dqn_lab._outside import located
from dqn_lab.evaluate import watch
from dqn_lab.types import Array

Picture = NDArray[np.uint8]  # [height, width, 3]
EXTRA = 'pip install "dqn-lab[video]"'
# the variables that tell Linux programs where to open windows
DISPLAYS = (
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "SDL_VIDEODRIVER",
)
LEAST_SIDE = 240  # pixels; smaller pictures are enlarged by a whole factor
PAPER, INK, SOFT = (21, 24, 28), (233, 235, 238), (163, 172, 184)
GAP = 8  # pixels between pictures side by side


class Shot(NamedTuple):
    """A moment of an episode, as a picture."""

    picture: Picture
    score: float  # the return so far
    step: int
    ended: bool


class RenderError(ValueError):
    """Reports, in one line, why an environment cannot be drawn."""


def open_stage(make_env: Callable[..., gymnasium.Env[Any, Any]], mode: str = "rgb_array") -> gymnasium.Env[Any, Any]:
    """Makes an environment that can be drawn, and draws it once.

    Args:
        make_env: makes a fresh environment with a given `render_mode`.
        mode: `rgb_array` for pictures, `ansi` for text.

    Raises:
        RenderError: it does not support the mode, draws no picture, or a package for drawing is not installed.
    """
    modes = render_modes(make_env)
    if mode not in modes:
        none = f"it does not draw itself; one that does has {mode} in metadata['render_modes'], and a render method"
        offered = f"it offers {', '.join(modes)}" if modes else none
        raise RenderError(f"this environment has no render_mode {mode}: {offered}")
    if sys.platform == "linux" and not any(map(os.environ.get, DISPLAYS)):
        os.environ["SDL_VIDEODRIVER"] = "dummy"  # pictures need no display, but SDL complains if there is none
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        env = make_env(mode)
        env.reset(seed=0)
        if mode == "rgb_array":
            _picture(env)
        else:
            env.render()
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        raise RenderError(f"drawing this environment needs an extra: {EXTRA} ({error})") from error
    except RenderError:
        raise
    except Exception as error:
        raise RenderError(f"this environment cannot be drawn: {located(error)}") from error
    return env


def render_modes(make_env: Callable[..., gymnasium.Env[Any, Any]]) -> list[str]:
    """Returns the render modes that an environment declares."""
    env = make_env()
    try:
        return list(env.metadata.get("render_modes") or ())
    finally:
        env.close()


def frames_per_second(env: gymnasium.Env[Any, Any]) -> int:
    """Returns the frame rate that an environment declares, at most 60; 30 if it declares none."""
    return int(min(60, max(1, env.metadata.get("render_fps") or 30)))


def shoot(q_values: Callable[[Array], Array], env: gymnasium.Env[Any, Any], seed: int) -> Iterator[Shot]:
    """Plays the greedy episode that `evaluate` plays from a seed, and draws every state.

    Yields:
        one more shot than the episode has steps.
    """
    score = 0.0
    for step, moment in enumerate(watch(q_values, env, seed)):
        score += moment.reward
        yield Shot(_picture(env), score, step, moment.action is None)


def _picture(env: gymnasium.Env[Any, Any]) -> Picture:
    drawn: Any = env.render()
    picture = np.asarray(drawn[-1] if isinstance(drawn, list) else drawn)
    if picture.ndim == 2:  # shades of grey
        picture = picture[..., None]
    if picture.dtype.kind not in "buif" or picture.ndim != 3 or picture.shape[2] not in (1, 3, 4):
        raise RenderError(f"render returned {picture.dtype} {picture.shape}; must be a picture, [height, width, 3]")
    if picture.dtype.kind == "b" or (picture.dtype.kind == "f" and picture.max(initial=0) <= 1):
        picture = picture * 255.0
    return np.broadcast_to(picture.clip(0, 255)[..., :3], (*picture.shape[:2], 3)).astype(np.uint8)


def labelled(shot: Shot, label: str = "") -> Picture:
    """Returns a shot's picture, enlarged if small, with the label, the return and the step above it."""
    picture = shot.picture
    factor = max(1, -(-LEAST_SIDE // min(picture.shape[:2])))
    if factor > 1:
        picture = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    words = f"return {shot.score:.6g}   step {shot.step:,}"
    width = picture.shape[1]
    rows = [_row(label, "", width)] if label else []
    return np.concatenate([*rows, _row(words, "ended" if shot.ended else "", width), picture])


@functools.lru_cache(maxsize=64)
def _row(text: str, note: str, width: int) -> Picture:
    """Draws a line of text, and a note at its end."""
    font = _font(max(11, min(18, width // 20)))
    whole = Image.new("RGB", (width, round(font.size * 1.6)), PAPER)
    draw = ImageDraw.Draw(whole)
    draw.text((6, 3), _fitting(text, font, width - 12), fill=INK, font=font)
    draw.text((width - 6, 3), note, fill=SOFT, font=font, anchor="ra")
    return np.asarray(whole)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Returns matplotlib's own font, which has ε and the other characters of labels."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)  # the other engine is slow


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Shortens a text to at most `width` pixels."""
    while len(text) > 1 and font.getlength(text) > width:
        text = f"{text.rstrip('…')[:-1]}…"
    return text


def side_by_side(films: Sequence[Iterator[Shot]], labels: Sequence[str]) -> Iterator[Picture]:
    """Shows several episodes at once until the longest has ended; the others stop at their last picture.

    Args:
        films: the films, whose pictures all have the same size.
        labels: one for each film.
    """
    columns = math.ceil(math.sqrt(len(films))) if len(films) > 3 else len(films)
    current = [next(film) for film in films]
    tiles = [labelled(shot, label) for shot, label in zip(current, labels, strict=True)]
    while True:
        yield _tiled(tiles, columns)
        if all(shot.ended for shot in current):
            return
        for i, film in enumerate(films):
            if not current[i].ended:
                current[i] = next(film)
                tiles[i] = labelled(current[i], labels[i])


def _tiled(tiles: Sequence[Picture], columns: int) -> Picture:
    rows = -(-len(tiles) // columns)
    high, wide = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    whole = Image.new("RGB", (columns * (wide + GAP) - GAP, rows * (high + GAP) - GAP), PAPER)
    for i, tile in enumerate(tiles):
        whole.paste(Image.fromarray(tile), (i % columns * (wide + GAP), i // columns * (high + GAP)))
    return np.asarray(whole)
