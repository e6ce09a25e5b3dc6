"""The page: its figures, its table and its sentences, written completely or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dqn_lab.analysis import _numbers
from dqn_lab.analysis.figures.style import Layout, Rendered, render
from dqn_lab.analysis.inspect import figures
from dqn_lab.analysis.inspect.material import Insight
from dqn_lab.analysis.pages import refuse_other_things, write_directory
from dqn_lab.analysis.pages import render as render_page

TEMPLATE = Path(__file__).with_name("page.html.jinja")
MARK = '<meta name="generator" content="dqn_lab inspect">'
Draw = Callable[[Insight, Layout], Figure]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One policy's drawing of a figure; `table` names the CSV file with its numbers, and is empty if there is none."""

    label: str
    file: str
    alt: str
    table: str
    rendered: Rendered


@dataclass(frozen=True, kw_only=True)
class Block:
    """A figure of the page: one picture, or one for each of several policies."""

    name: str
    title: str
    caption: str
    pictures: Sequence[Picture]


def write_inspection(insights: Sequence[Insight], out: Path, command: str) -> Path:
    """Writes `index.html`, `figures/` and `tables/`, completely or not at all.

    Args:
        insights: the insights into one policy, or into several policies of one task.
        out: the directory; an earlier page there is replaced.
        command: the command that makes the page again.

    Returns:
        the page's path.

    Raises:
        AnalysisError: `out` contains something else.
        OSError: the page cannot be written; an earlier page is kept.
    """
    refuse_other_things(out, MARK, "an inspection")
    write_directory(out, lambda fresh: _fill(fresh, insights, command))
    return out / "index.html"


def _fill(directory: Path, insights: Sequence[Insight], command: str) -> None:
    for name in ("figures", "tables"):
        (directory / name).mkdir(parents=True)
    blocks = list(_blocks(insights))
    for picture in (picture for block in blocks for picture in block.pictures):
        stem = directory / "figures" / picture.file
        stem.with_suffix(".svg").write_text(picture.rendered.svg, encoding="utf-8")
        if picture.rendered.png is not None:  # no installed font has every character
            stem.with_suffix(".png").write_bytes(picture.rendered.png)
    for number, insight in enumerate(insights):
        for name, table in _tables(insight):
            text = table.to_csv(index=False, lineterminator="\n")
            (directory / "tables" / f"{name}{_suffix(number, insights)}.csv").write_text(text, encoding="utf-8")
    headings, rows = _summary(insights)
    describe = _sentence_without_label if len(insights) == 1 else _sentence
    page = render_page(
        TEMPLATE, insights=insights, figures=blocks, headings=headings, rows=rows, command=command,
        sentences=list(map(describe, insights)), states=[_listing(one) for one in insights],
    )  # fmt: skip
    (directory / "index.html").write_text(page, encoding="utf-8")


def _suffix(number: int, insights: Sequence[Insight]) -> str:
    return f"-{number + 1}" if len(insights) > 1 else ""


def over_estimation(insight: Insight) -> float:
    """Returns the mean of max Q minus the actual discounted return, over an episode's states except the last."""
    walk = insight.walk
    return float((walk.q_values.max(1) - walk.bootstrapped_return)[:-1].mean())


def _sentence(insight: Insight) -> str:
    walk, over = insight.walk, over_estimation(insight)
    actual = walk.bootstrapped_return[:-1]
    scale, one_sign = abs(float(actual.mean())), (actual > 0).all() or (actual < 0).all()
    clipped = "" if walk.clipped is None else f" Rewards are clipped to ±{walk.clipped:g}, as in training."
    if abs(over) < max(0.0005, 1e-6 * scale):  # less than is shown
        steps = f"{len(walk.actions):,} steps"
        return f"{insight.label}: in a greedy episode of {steps}, max Q equals the actual discounted return.{clipped}"
    how = "higher" if over > 0 else "lower"
    share = f", by {100 * abs(over) / scale:.0f}\u00a0% of that return" if scale and one_sign else ""
    cut_off = " The time limit cut the episode off, so this return includes max Q of its last state."
    rest = cut_off if walk.truncated else ""
    return (
        f"{insight.label}: in a greedy episode of {len(walk.actions):,} steps, max Q is on average "
        f"{_numbers.number(abs(over))} {how} than the actual discounted return{share}.{rest}{clipped}"
    )


def _sentence_without_label(insight: Insight) -> str:
    """Returns the sentence without the label, for a page on one policy."""
    text = _sentence(insight).removeprefix(f"{insight.label}: ")
    return text[:1].upper() + text[1:]


def _summary(insights: Sequence[Insight]) -> tuple[list[str], list[list[str]]]:
    headings = ["policy", "step", "greedy return ± SD", "over-estimation", "effective rank", "dormant units"]
    rows = []
    for insight in insights:
        features = insight.features
        rank = "–" if features is None else f"{features.effective_rank()} of {features.values.shape[1]}"
        dormant = "–" if features is None else _numbers.percent(features.dormant())
        mean, spread = float(insight.returns.mean()), float(insight.returns.std())
        returns = f"{_numbers.number(mean)} ± {_numbers.number(spread, largest=abs(mean))}"
        over = _numbers.number(over_estimation(insight), signed=True)
        rows.append([insight.label, f"{insight.step:,}", returns, over, rank, dormant])
    return headings, rows


def _listing(insight: Insight) -> tuple[list[str], list[tuple[list[str], int]]] | None:
    """Returns the headings of the table of all states, and each row with the number of its greedy action."""
    if (listed := insight.states) is None:
        return None
    rows = [
        ([*map(str, state), *(f"{value:z.4g}".replace("-", "−") for value in values)], int(np.argmax(values)))
        for state, values in zip(listed.states.tolist(), listed.q_values.tolist(), strict=True)
    ]
    return [*listed.names, *(f"Q {name}" for name in insight.action_names)], rows


def _blocks(insights: Sequence[Insight]) -> Iterator[Block]:
    """Yields every figure that the policies have data for; all pictures of one figure share a scale."""
    walks = [insight.walk for insight in insights]
    drawn = [(walk.q_values, walk.actual_return, walk.bootstrapped_return) for walk in walks]
    every = np.concatenate([part[:-1].ravel() for parts in drawn for part in parts])
    margin = 0.05 * (every.max() - every.min() or 1.0)
    limits = float(every.min() - margin), float(every.max() + margin)
    yield _block(
        insights, "q_values", "Q-values along an episode",
        "Each action's Q-value in the states of one greedy episode, and the actual return: the discounted sum of the "
        "rewards from that state on. A line that nearly coincides with another is dashed.",
        lambda one, layout: figures.q_values(one, layout, limits), "episode",
    )  # fmt: skip
    for number, first in enumerate(insights[0].planes):
        yield from _planes(
            insights, number, " × ".join(insights[0].dimensions[i].replace("_", " ") for i in first.dimensions)
        )
    if any(insight.charts for insight in insights):
        yield _block(
            [one for one in insights if one.charts], "map", "The greedy policy on the map", figures.legend_of(insights),
            lambda one, layout: figures.chart(one, one.charts, layout),
        )  # fmt: skip
    if any(insight.distributions for insight in insights):
        yield _block(
            [one for one in insights if one.distributions], "distributions", "Distributions of the return",
            "The cumulative distribution of each action's return in a few states of the episode. Dashed: its mean, Q.",
            figures.distributions,
        )  # fmt: skip
    yield _block(
        insights, "actions", "How often each action is taken", f"Over {len(insights[0].returns)} greedy episodes.",
        figures.actions,
    )  # fmt: skip


def _planes(insights: Sequence[Insight], number: int, names: str) -> Iterator[Block]:
    values = [insight.planes[number].q_values.max(-1) for insight in insights]
    limits = float(min(each.min() for each in values)), float(max(each.max() for each in values))
    several = len(insights[0].planes) > 1
    suffix, table = (f"_{number + 1}", f"plane{number + 1}") if several else ("", "plane")
    yield _block(
        insights, f"value{suffix}", f"Value over {names}", "The largest Q-value, max Q, with contour lines.",
        lambda one, layout: figures.value_surface(one, one.planes[number], layout, limits), table,
    )  # fmt: skip
    yield _block(
        insights, f"policy{suffix}", f"Greedy policy over {names}", "The action with the largest Q-value.",
        lambda one, layout: figures.policy(one, one.planes[number], layout), table,
    )  # fmt: skip


def _block(insights: Sequence[Insight], name: str, title: str, caption: str, draw: Draw, table: str = "") -> Block:
    pictures = []
    for number, insight in enumerate(insights):
        file = f"{name}{_suffix(number, insights)}"

        def drawn(layout: Layout, insight: Insight = insight) -> Figure:
            return draw(insight, layout)

        alt = f"{title}. {_sentence(insight)}" if name == "q_values" else f"{title}: {insight.label}. {caption}"
        if name == "actions":
            alt = f"{alt} {_shares(insight)}."
        drawing = render(drawn, f"inspect-{file}")
        own = table and f"{table}{_suffix(number, insights)}"
        pictures.append(Picture(label=insight.label, file=file, alt=alt, table=own, rendered=drawing))
    return Block(name=name, title=title, caption=caption, pictures=pictures)


def _shares(insight: Insight) -> str:
    shares = (insight.counts / max(1, insight.counts.sum())).tolist()
    pairs = zip(insight.action_names, shares, strict=True)
    return ", ".join(f"{name} {_numbers.percent(share)}" for name, share in pairs)


def _tables(insight: Insight) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields the numbers behind the figures."""
    walk, names = insight.walk, insight.action_names
    columns = {f"q {name}": walk.q_values[:, i] for i, name in enumerate(names)}
    padded = [*walk.actions, None], [*walk.rewards, None]
    yield "episode", pd.DataFrame(
        {"step": range(len(walk.q_values)), **columns, "action": pd.array(padded[0], dtype="Int64"),
         "reward": padded[1], "actual_return": walk.actual_return, "bootstrapped_return": walk.bootstrapped_return}
    )  # fmt: skip
    if (listed := insight.states) is not None:
        numbers = dict(zip(listed.names, listed.states.T, strict=True))
        q_values = {f"q {name}": listed.q_values[:, i] for i, name in enumerate(names)}
        yield "states", pd.DataFrame({**numbers, **q_values})
    for number, plane in enumerate(insight.planes):
        x, y = np.meshgrid(plane.x, plane.y)
        first, second = (insight.dimensions[i] for i in plane.dimensions)
        cells = {f"q {name}": plane.q_values[..., i].ravel() for i, name in enumerate(names)}
        yield (
            f"plane{'' if len(insight.planes) == 1 else number + 1}",
            pd.DataFrame({first: x.ravel(), second: y.ravel(), **cells}),
        )
