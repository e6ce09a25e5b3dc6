"""A report shows what diagnostics measured: means over parts of the steps, then over seeds."""

import re

import numpy as np
import pandas as pd
import pytest

from dqn_lab.analysis.figures import measures
from dqn_lab.analysis.figures.plots import short_number
from dqn_lab.analysis.figures.style import NARROW, WIDE, looks

EPISODES = "episode,step,return,length,epsilon,updates,loss,q_value,td_error,q_start,return_discounted\n"


def write_episodes(run, rows, header=EPISODES):
    """Writes episodes: their last step, and one value for each column of the diagnostics."""
    lines = [f"{number},{step},20.0,20,1.0,0,,,{','.join(map(str, values))}\n"
             for number, (step, *values) in enumerate(rows)]  # fmt: skip
    (run / "episodes.csv").write_text(header + "".join(lines))


@pytest.fixture
def measured(make, tmp_path):
    """Writes two variants with three seeds each, whose steps end at 100, so that a part has 4 steps."""

    def write(rows, header=EPISODES, variants=(1, 10)):
        changes = [{"target.interval": value, "diagnostics": {"name": "probe"}} for value in variants]
        directory = make.sweep(tmp_path / "s", changes, range(3), make.noisy)
        for run in directory.iterdir():
            write_episodes(run, rows(int(run.name.rpartition("-")[2][-1])), header)
        return directory

    return write


def table_of(directory):
    return pd.read_csv(directory / "report" / "tables" / "diagnostics.csv")


def test_a_measure_is_averaged_over_a_part_of_the_steps_then_over_seeds(cli, no_figures, measured, read):
    directory = measured(lambda seed: [(3, 1.0, 5, 2), (4, 3.0, 5, 1), (5, 10.0, 7, 2), (100, seed, 9, 3)])
    assert cli(directory).code == 0
    table = table_of(directory)
    assert set(table["measure"]) == {"td_error", "q_start − return_discounted"}
    one = table[table["variant"] == "target.interval=1"].set_index(["measure", "step"])
    assert one.loc[("td_error", 2.0), ["seeds", "mean"]].tolist() == [3, 2.0]  # of steps 1 to 4: 1 and 3
    assert one.loc[("td_error", 6.0), "mean"] == 10.0
    last = one.loc[("td_error", 98.0)]
    assert last["mean"] == 1.0  # of the seeds 0, 1 and 2
    assert 0 <= last["low"] < 1.0 < last["high"]
    assert one.loc[("q_start − return_discounted", 2.0), "mean"] == 3.5
    text = read(directory / "report")
    assert "Measured while learning Mean over a 25th of the steps and 3 seeds per variant" in text
    assert "values are too high, exploring is costly, or a time limit ends episodes" in text
    assert "A curve ends" not in text


def test_a_single_run_shows_its_training(cli, no_figures, make, tmp_path):
    make.run(tmp_path / "one", make.configure(seed=0), 300.0)
    rows = [f"{number},{at},{at / 10},9,0.5,3,2.0,7.0\n" for number, at in enumerate((100, 4000, 8000))]
    header = "episode,step,return,length,epsilon,updates,loss,q_value\n"
    (tmp_path / "one" / "episodes.csv").write_text("".join([header, *rows]))
    assert cli(tmp_path / "one").code == 0
    table = table_of(tmp_path / "one")
    assert set(table["measure"]) == {"return", "epsilon", "loss", "q_value"}
    assert table.loc[table["measure"] == "return", "mean"].iloc[[0, -1]].tolist() == [10, 800]


def test_without_diagnostics_there_is_no_such_figure(cli, no_figures, sweep, read):
    cli(sweep)
    assert "Measured while learning" not in read(sweep / "report")
    assert not (sweep / "report" / "tables" / "diagnostics.csv").exists()


def test_a_single_run_shows_what_was_measured(cli, no_figures, make, read, tmp_path):
    make.run(tmp_path / "run", make.configure(diagnostics={"name": "basic"}), 200.0)
    write_episodes(tmp_path / "run", [(50, 1.0, 2, 1), (100, 2.0, 2, 1)])
    cli(tmp_path / "run")
    assert "Mean over a 25th of the steps. If" in read(tmp_path / "run" / "report")
    table = table_of(tmp_path / "run")
    assert table.loc[table["measure"] == "td_error", "mean"].iloc[[0, -1]].tolist() == [1.0, 2.0]


def test_a_custom_components_columns_are_shown_without_infinite_values(cli, no_figures, measured):
    header = "episode,step,return,length,epsilon,updates,loss,q_value,entropy\n"
    directory = measured(lambda seed: [(10, 1.5), (50, "inf"), (100, 2.5)], header)
    cli(directory)
    table = table_of(directory)
    assert set(table["measure"]) == {"entropy"}
    assert table["mean"].between(1.5, 2.5).all()


def test_diagnostics_that_cannot_be_read_are_named(cli, no_figures, measured, read):
    directory = measured(lambda seed: [(10, 1.0, 2, 1), (100, "none", 2, 1)])
    assert cli(directory).code == 0
    assert "td_error contains something other than numbers" in read(directory / "report")


def test_variants_without_measurements_are_named_and_the_others_drawn(cli, no_figures, make, measured, read):
    """Of eight variants only one was measured; by its mean, the control included, it would not be drawn."""
    directory = measured(lambda seed: [(10, 1.0, 2, 1), (100, 2.0, 2, 1)], variants=[2])
    make.sweep(directory, [{"target.interval": value} for value in range(3, 10)], range(3), lambda *_: 490.0)
    assert cli(directory, "--control", "target.interval=3").code == 0
    assert set(table_of(directory)["variant"]) == {"target.interval=2"}
    assert "Of the other 7 variants too little was measured, or nothing." in read(directory / "report")


def test_a_variant_measured_in_one_part_is_named_and_has_no_curve(cli, no_figures, measured, read):
    directory = measured(lambda seed: [(10, 1.0, 2, 1), (100, 2.0, 2, 1)], variants=(1, 10, 100))
    for run in directory.glob("target.interval=10,*"):
        write_episodes(run, [(2, 1.0, 2, 1), (3, 1.0, 2, 1)])
    cli(directory)
    assert set(table_of(directory)["variant"]) == {"target.interval=1", "target.interval=100"}
    assert "“target.interval=10”: too little was measured, or nothing." in read(directory / "report")


def test_a_curve_that_ends_early_is_explained(cli, no_figures, measured, read):
    directory = measured(lambda seed: [(10, 1.0, 2, 1), (50 + 25 * seed, 2.0, 2, 1)])
    cli(directory)
    assert table_of(directory)["step"].max() == 50  # where the first run ends: nine in ten of three are three
    assert "A curve ends where fewer than nine in ten of its runs continue." in read(directory / "report")


def test_signed_measures_have_bands_on_both_sides_of_zero(cli, no_figures, measured):
    directory = measured(lambda seed: [(10, seed - 1, 2, 1), (100, seed - 1, 2, 1)])
    assert cli(directory).code == 0
    errors = table_of(directory).query("measure == 'td_error'")
    assert ((errors["low"] < -0.5) & (errors["high"] > 0.5)).all()


def test_a_band_is_as_wide_as_the_seeds_differ(cli, no_figures, measured):
    directory = measured(lambda seed: [(10, 1.45 + seed / 100, 2, 1), (100, 1.45 + seed / 100, 2, 1)])
    cli(directory)
    errors = table_of(directory).query("measure == 'td_error'")
    assert (errors["low"] > 1.4).all()
    assert (errors["high"] < 1.52).all()


def test_nothing_measured_in_two_parts_leaves_no_figure(cli, no_figures, measured, read):
    directory = measured(lambda seed: [(10, "", "", ""), (100, 2.0, 2, 1)])
    assert cli(directory).code == 0
    assert "Measured while learning" not in read(directory / "report")


def test_at_most_six_variants_are_drawn_the_control_among_them(cli, no_figures, measured, read):
    directory = measured(lambda seed: [(10, 1.0, 2, 1), (100, 2.0, 2, 1)], variants=range(1, 9))
    cli(directory, "--control", "target.interval=8")
    assert len(set(table_of(directory)["variant"])) == 8
    page = (directory / "report" / "index.html").read_text(encoding="utf-8")
    drawn = set(re.findall(r"target\.interval=\d", page.partition("td_error, at the end: ")[2].partition('"')[0]))
    assert len(drawn) == 6
    assert "target.interval=8" in drawn
    text = read(directory / "report")
    assert "Of 8 variants, the control and those with the best means are drawn; the CSV file has all." in text


@pytest.mark.parametrize("layout", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_each_measure_has_a_plot_with_a_line_per_variant(layout, number):
    names = [f"variant {place}" for place in range(number)]
    rows = [{"measure": measure, "variant": name, "step": step, "mean": 10.0 * step, "low": step, "high": 12.0 * step}
            for measure in ("td_error", "churn", "own") for name in names for step in (1.0, 2.0)]  # fmt: skip
    shown = looks(names, None)
    figure = measures.measures(pd.DataFrame(rows), {"churn": "changed actions"}, shown, layout, named=number > 1)
    plots = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title("left") for axes in plots] == ["td_error", "churn", "own"]
    assert [text.get_text() for text in plots[1].texts] == ["changed actions"]
    assert [[line.get_color() for line in axes.lines][:number] for axes in plots] == 3 * [
        [look.colour for look in shown.values()]
    ]
    top = plots[0].get_ylim()[1]
    assert top >= 24 if number <= 2 else top < 24  # with more than two variants there are no bands
    assert (plots[0].get_legend() is None) == (number == 1)


def test_a_few_huge_values_do_not_flatten_the_others():
    rows = [{"measure": name, "variant": "a", "step": step, "mean": sign * 10.0 ** power, "low": 0, "high": 1e13}
            for name, sign in (("up", 1), ("down", -1)) for step, power in enumerate((0, 0, 0, 12))]  # fmt: skip
    figure = measures.measures(pd.DataFrame(rows), {}, looks(["a"], None), WIDE)
    assert [axes.get_yscale() for axes in figure.axes[:2]] == ["log", "symlog"]


def test_a_wide_band_does_not_flatten_the_lines():
    rows = [{"measure": "x", "variant": "a", "step": step, "mean": 1.0 + step, "low": -1e6, "high": np.inf}
            for step in range(3)]  # fmt: skip
    low, high = measures.measures(pd.DataFrame(rows), {}, looks(["a"], None), WIDE).axes[0].get_ylim()
    assert -5 < low < 1
    assert 3 < high < 8


@pytest.mark.parametrize(("value", "text"), [
    (0, "0"), (0.5, "0.5"), (0.001, "0.001"), (0.0005, "5e−4"), (-25, "−25"), (2500, "2.5k"), (2e6, "2M"),
    (1e9, "1e9"), (-1.5e12, "−1.5e12"),
])  # fmt: skip
def test_numbers_on_axes_are_short(value, text):
    assert short_number(value) == text
