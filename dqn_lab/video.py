"""Writes pictures as a video: an mp4 that browsers play, or a GIF."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from dqn_lab._atomic import write_atomically
from dqn_lab.film import EXTRA, Picture, RenderError

SUFFIXES = (".mp4", ".gif")
GIF_FPS = 25  # at most; every second picture of a faster film is left out
GIF_COLOURS = 64
# half the work of x264's default preset, for two thirds more bytes; with one thread the file is the same on any machine
X264 = {"preset": "superfast", "threads": "1"}
SAMPLE = 64  # pictures of a GIF from which its colours are taken


def check_writer(suffix: str) -> None:
    """Checks that a kind of file can be written here.

    Raises:
        RenderError: the kind is unknown, or the package that writes it is not installed.
    """
    if suffix not in SUFFIXES:
        raise RenderError(f"a film's name must end in {' or '.join(SUFFIXES)}, not in {suffix or 'nothing'}")
    if suffix == ".mp4":
        try:
            import av

            av.codec.Codec("libx264", "w")
        except (ImportError, ValueError) as error:
            raise RenderError(f"an mp4 needs an extra: {EXTRA} ({error}); a .gif does not") from error


def write_video(path: Path, pictures: Iterable[Picture], fps: int, width: int | None = None) -> int:
    """Writes a video of pictures that all have the same size, whole or not at all.

    Args:
        path: ends in `.mp4` (H.264 that browsers play) or `.gif` (at most 25 pictures per second).
        pictures: [height, width, 3] each; `fps` of them per second.
        fps: pictures per second.
        width: larger pictures are shrunk to it; None for no shrinking.

    Returns:
        the number of pictures in the file.

    Raises:
        RenderError: this kind of file cannot be written here.
        OSError: the file cannot be written.
    """
    check_writer(path.suffix)
    write = _write_gif if path.suffix == ".gif" else _write_mp4
    count = 0

    def put(file: IO[bytes]) -> None:
        nonlocal count
        count = write(file, _shrunk(pictures, width), fps)

    write_atomically(path, put)
    return count


def _shrunk(pictures: Iterable[Picture], width: int | None) -> Iterator[Picture]:
    for picture in pictures:
        if width is None or picture.shape[1] <= width:
            yield picture
        else:
            size = width, round(picture.shape[0] * width / picture.shape[1])
            yield np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def _write_mp4(file: IO[bytes], pictures: Iterable[Picture], fps: int) -> int:
    import av

    count, memory = 0, io.BytesIO()  # an mp4 is written with jumps back to its beginning
    with av.open(memory, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=X264)
        stream.pix_fmt = "yuv420p"
        for count, picture in enumerate(map(_even, pictures), start=1):
            if count == 1:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = count - 1, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    file.write(memory.getvalue())
    return count


def _even(picture: Picture) -> Picture:
    """Repeats the last row and column of odd sides: browsers need H.264 with even ones."""
    odd = [(0, side % 2) for side in picture.shape[:2]]
    return np.pad(picture, (*odd, (0, 0)), mode="edge") if any(map(sum, odd)) else picture


def _write_gif(file: IO[bytes], pictures: Iterable[Picture], fps: int) -> int:
    """Writes pictures in the first ones' colours and without dithering, so that only what moves takes space."""
    stride = -(-fps // GIF_FPS)
    chosen = _strided(pictures, stride)
    first = list(islice(chosen, SAMPLE))
    sample = np.concatenate(first[:: max(1, len(first) // 8)])
    palette = Image.fromarray(sample).quantize(GIF_COLOURS, method=Image.Quantize.MEDIANCUT)
    frames = [
        Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE) for picture in chain(first, chosen)
    ]
    durations = [1000 * stride / fps] * (len(frames) - 1) + [2000]  # a pause before it begins again
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return len(frames)


def _strided(pictures: Iterable[Picture], stride: int) -> Iterator[Picture]:
    """Yields every `stride`-th picture, and the last one, so that the end of an episode is shown."""
    left_out = None
    for number, picture in enumerate(pictures):
        left_out = picture if number % stride else None
        if left_out is None:
            yield picture
    if left_out is not None:
        yield left_out
