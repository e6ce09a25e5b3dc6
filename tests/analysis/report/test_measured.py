"""A report shows what diagnostics measured: means over parts of the steps, then over seeds."""

import pandas as pd
import pytest

from dqn_lab.analysis.figures import measures
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
    assert "Diagnostics Mean over a 25th of the steps and 3 seeds per variant" in text
    assert "values are overestimated or exploring is costly" in text


def test_without_diagnostics_there_is_no_such_figure(cli, no_figures, sweep, read):
    cli(sweep)
    assert "Diagnostics Mean over" not in read(sweep / "report")
    assert not (sweep / "report" / "tables" / "diagnostics.csv").exists()


def test_a_single_run_shows_what_was_measured(cli, no_figures, make, read, tmp_path):
    make.run(tmp_path / "run", make.configure(diagnostics={"name": "basic"}), 200.0)
    write_episodes(tmp_path / "run", [(50, 1.0, 2, 1), (100, 2.0, 2, 1)])
    cli(tmp_path / "run")
    assert "Mean over a 25th of the steps. If" in read(tmp_path / "run" / "report")
    assert (
        table_of(tmp_path / "run")["mean"].tolist()[:2] == [1.0, 2.0] or table_of(tmp_path / "run")["mean"].iloc[0] == 1
    )


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


def test_runs_of_which_only_some_were_measured(cli, no_figures, measured, make):
    directory = measured(lambda seed: [(10, 1.0, 2, 1), (100, 2.0, 2, 1)])
    make.sweep(directory, [{"target.interval": 100}], range(3), make.noisy)
    assert cli(directory).code == 0
    assert set(table_of(directory)["variant"]) == {"target.interval=1", "target.interval=10"}


def test_nothing_measured_in_two_parts_leaves_no_figure(cli, no_figures, measured, read):
    directory = measured(lambda seed: [(10, "", "", ""), (100, 2.0, 2, 1)])
    assert cli(directory).code == 0
    assert "Diagnostics Mean over" not in read(directory / "report")


def test_at_most_six_variants_are_drawn_the_control_among_them(cli, no_figures, measured, read):
    directory = measured(lambda seed: [(10, 1.0, 2, 1), (100, 2.0, 2, 1)], variants=range(1, 9))
    cli(directory, "--control", "target.interval=8")
    there = set(table_of(directory)["variant"])
    assert len(there) == 6
    assert "target.interval=8" in there
    assert "Of 8 variants, only the control and those with the best means are shown" in read(directory / "report")


@pytest.mark.parametrize("layout", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_each_measure_has_a_plot_with_a_line_per_variant(layout, number):
    names = [f"variant {place}" for place in range(number)]
    rows = [{"measure": measure, "variant": name, "step": step, "mean": 10.0 * step, "low": step, "high": 20.0 * step}
            for measure in ("td_error", "churn", "own") for name in names for step in (1.0, 2.0)]  # fmt: skip
    shown = looks(names, None)
    figure = measures.measures(pd.DataFrame(rows), {"churn": "changed actions"}, shown, layout)
    plots = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title("left") for axes in plots] == ["td_error", "churn", "own"]
    assert [text.get_text() for text in plots[1].texts] == ["changed actions"]
    assert [[line.get_color() for line in axes.lines][:number] for axes in plots] == 3 * [
        [look.colour for look in shown.values()]
    ]
    top = plots[0].get_ylim()[1]
    assert top >= 40 if number <= 2 else top < 40  # with more than two variants there are no bands
    assert (plots[0].get_legend() is None) == (number == 1)
