"""What figures show: labels that differ, dots that can be counted, curves that fill the width."""

import numpy as np
import pandas as pd
import pytest

from dqn_lab.analysis.curves import Curve
from dqn_lab.analysis.figures import curves, rows, seeds
from dqn_lab.analysis.figures.rows import Estimate
from dqn_lab.analysis.figures.seeds import SeedCurve
from dqn_lab.analysis.figures.style import NARROW, WIDE, looks
from dqn_lab.analysis.figures.text import inches, shorten, tell_apart, wrap

LONG = [
    f"buffer.capacity={size}, optimizer.lr=0.001, target.interval={value}" for size in (64, 5000) for value in (1, 10)
]


def curve(variant, level, steps=8000):
    at = np.linspace(1000, steps, 8)
    return pd.DataFrame({"variant": variant, "step": at, "mean": level, "low": level - 20, "high": level + 20})


@pytest.mark.parametrize(("labels", "columns", "written"), [
    (["a", "b"], 9, ["a", "b"]),
    (["target.interval=1", "target.interval=10"], 8, ["…1", "…10"]),
    (["one=12345, b=1", "one=12345, b=2", "one=2, b=1"], 9, ["…12345…", "…12345…", "…2, b=1"]),
])  # fmt: skip
def test_no_two_labels_are_cut_to_the_same_text(labels, columns, written):
    found = list(tell_apart(labels, lambda label: shorten(label, columns)).values())
    assert len(set(found)) == len(labels)
    assert found == written or found == [shorten(f"{i}: {label}", columns) for i, label in enumerate(labels, 1)]


def test_a_name_that_is_too_long_for_a_line_breaks_between_its_parts():
    assert wrap("optimizer.weight_decay=0.001", inches("optimizer.weight_m", bold=True), 3) == (
        "optimizer.weight_\ndecay=0.001"
    )


@pytest.mark.parametrize("layout", [NARROW, WIDE], ids=["narrow", "wide"])
def test_names_of_rows_and_plots_differ_at_any_length(layout):
    means = [Estimate(variant=name, value=1.0, low=0.5, high=2.0) for name in LONG]
    shown = looks(LONG, LONG[0])
    data = pd.concat([curve(name, 100.0) for name in LONG])
    figures = {
        "rows": rows.intervals(means, shown, layout, label="x"),
        "outcomes": rows.outcomes({name: [1.0, 2.0] for name in LONG}, means, shown, layout, label="x"),
        "curves": curves.learning_curves(data, shown, layout, metric="return", control=LONG[0]),
    }
    for kind, figure in figures.items():
        names = [text.get_text() for axes in figure.axes for text in (*axes.texts, axes.title, axes._left_title)]
        assert len({name for name in names if "capacity" in name}) == len(LONG), kind


def test_dots_stand_beside_one_another_and_the_interval_below_them():
    runs = {"a": [475.0, 500.0, 500.0, 500.0, 120.0], "b": [500.0] * 30}
    means = [Estimate(variant=name, value=np.mean(own), low=300.0, high=500.0) for name, own in runs.items()]
    figure = rows.outcomes(runs, means, looks(list(runs), None), WIDE, label="final return")
    for place, own in enumerate(runs.values()):
        dots, interval, mean = figure.axes[0].lines[3 * place : 3 * place + 3]
        assert len(set(zip(*dots.get_data(), strict=True))) == len(own)
        assert np.ptp(dots.get_ydata()) < 1
        assert max(dots.get_ydata()) < min(interval.get_ydata())  # the axis points downwards
        assert mean.get_ydata()[0] == interval.get_ydata()[0] < place + 0.5


@pytest.mark.parametrize("variants", [1, 2, 3])
def test_curves_show_the_threshold_and_are_not_cut_at_their_end(variants):
    names = [f"v{number}" for number in range(variants)]
    data = pd.concat([curve(name, 300.0) for name in names])
    solved = curves.Threshold(475.0, "solved at 475")
    figure = curves.learning_curves(data, looks(names, "v0"), WIDE, metric="m", control="v0", threshold=solved)
    assert [text.get_text() for text in figure.axes[0].texts if "475" in text.get_text()] == ["solved at 475"]
    for axes in figure.axes:
        assert axes.get_xlim()[1] > 8000
        assert axes.get_ylim()[1] > 475
        assert any(set(line.get_ydata()) == {475.0} for line in axes.lines)


@pytest.mark.parametrize(("level", "solved", "side"), [
    (300.0, 475.0, ("left", "bottom")), (300.0, 100.0, ("right", "top")),
])  # fmt: skip
def test_the_thresholds_name_stands_where_no_curve_is(level, solved, side):
    figure = curves.learning_curves(
        curve("v0", level), looks(["v0"], None), WIDE, metric="m", control=None,
        threshold=curves.Threshold(solved, "solved"),
    )  # fmt: skip
    (text,) = [text for text in figure.axes[0].texts if text.get_text() == "solved"]
    assert (text.get_ha(), text.get_va()) == side


@pytest.mark.parametrize(("number", "columns"), [(2, 2), (5, 5), (20, 20), (30, 15)])
def test_every_seed_has_its_share_of_the_width(number, columns):
    runs = [SeedCurve(str(seed), Curve(np.arange(1.0, 9.0), np.arange(8.0))) for seed in range(number)]
    figure = seeds.seeds({"a": runs}, looks(["a"], None), WIDE, low=0.0, high=8.0)
    assert figure.axes[0].get_xlim() == (0, columns)
    ends = [path.vertices[:, 0].max() for path in figure.axes[0].collections[-1].get_paths()]
    assert max(ends) > columns - 0.2
