"""Tables of many runs become one frame, and unreadable ones are named."""

import os
import subprocess
import sys

import pytest
from pandas.testing import assert_frame_equal

from dqn_lab.analysis import AnalysisError, SkippedRuns, load_configs, load_runs


def test_a_row_identifies_its_run_before_the_csv_columns(make_run, tmp_path):
    make_run("grid/a", **{"target.interval": 1})
    make_run("grid/b", seed=3)
    runs = load_runs(tmp_path)
    assert list(runs.columns) == [
        "run", "sweep", "variant", "seed", "task", "target.interval",
        "episode", "step", "return", "length", "epsilon", "updates", "loss", "q_value",
    ]  # fmt: skip
    assert runs["seed"].tolist() == [0, 0, 0, 3, 3, 3]
    assert runs["step"].tolist() == [20, 40, 60] * 2
    assert runs["loss"].isna().tolist() == [True, False, False] * 2
    kinds = runs.dtypes.astype(str)
    assert kinds[["variant", "seed", "episode", "return", "q_value"]].tolist() == [
        "category", "int64", "int64", "float64", "float64",
    ]  # fmt: skip


def test_a_swept_key_that_is_also_a_column_has_another_name(make_run, tmp_path):
    make_run("grid/a", episodes=5)
    make_run("grid/b", episodes=None)
    runs = load_runs(tmp_path, table="evaluations")
    assert runs["config.episodes"].isna().tolist() == [False, False, True, True]
    assert runs["episodes"].tolist() == [10] * 4


def test_numbers_are_read_exactly(make_run, tmp_path):
    path = make_run("grid/a", returns=(0.1 + 0.2, 1e-17, 123456789.123456789)) / "evaluations.csv"
    assert "0.30000000000000004" in path.read_text()
    assert load_runs(tmp_path, table="evaluations")["return_mean"].tolist() == [0.1 + 0.2, 1e-17, 123456789.123456789]


def test_a_torn_last_line_is_ignored(make_run, tmp_path):
    run = make_run("grid/a", status="running")
    with (run / "evaluations.csv").open("a") as file:
        file.write("3000,2,4")
    assert load_runs(run, table="evaluations")["step"].tolist() == [1000, 2000]


def test_integers_stay_integers_if_some_are_missing(make_run, tmp_path):
    make_run("grid/a")
    path = make_run("grid/b", seed=1) / "episodes.csv"
    path.write_text("episode,step,return,length,fill\n0,20,20.0,20,\n1,40,20.0,20,7\n")
    runs = load_runs(tmp_path)
    assert str(runs["fill"].dtype) == "Int64"
    assert runs["fill"].dropna().tolist() == [7]
    assert list(runs.columns).index("episode") < list(runs.columns).index("fill")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is still empty"),
        ("step,episode,return_mean\n", "has no row yet"),
        ("step,episode\n1,2\n", "lacks the column return_mean"),
        ("step,episode,return_mean\n1,2,3\n1,2\n4,5,6\n", "a row is malformed"),
        ("step,episode,return_mean\n1,2,3\n4,5,x6\n", "the column return_mean contains something other than numbers"),
        (None, "has no evaluations.csv"),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_what_cannot_be_read_is_left_out_and_named(make_run, tmp_path, text, reason, alone):
    path = make_run("grid/broken", seed=1) / "evaluations.csv"
    path.unlink() if text is None else path.write_text(text)
    if alone:
        with pytest.raises(AnalysisError, match=f"no run has evaluations to load; .*broken: .*{reason}"):
            load_runs(tmp_path, table="evaluations")
        return
    make_run("grid/good")
    with pytest.warns(SkippedRuns, match=reason):
        runs = load_runs(tmp_path, table="evaluations")
    assert set(runs["run"]) == {"good"}
    assert list(runs.attrs["skipped"]) == [str(path.parent)]


def test_a_table_that_does_not_exist_is_refused(make_run, tmp_path):
    make_run("grid/a")
    with pytest.raises(AnalysisError, match=r"table=episode: no such table; did you mean episodes\?"):
        load_runs(tmp_path, table="episode")


def test_a_run_of_two_variants_has_rows_for_both(make_run, tmp_path):
    make_run("sweep/a")
    jobs = ", ".join(f'{{"variant": "{v}", "seed": 0, "hash": "0", "directory": "a"}}' for v in ("x", "y"))
    (tmp_path / "sweep/sweep.json").write_text(f'{{"variants": {{"x": [], "y": []}}, "seeds": [0], "jobs": [{jobs}]}}')
    runs = load_runs(tmp_path)
    assert runs.groupby("variant", observed=True).size().to_dict() == {"x": 3, "y": 3}


def test_the_task_names_the_settings_that_change_its_returns(make_run, tmp_path):
    make_run("grid/a", **{"env.max_episode_steps": 200, "env.truncation_terminates": True, "env.rescale": True})
    assert load_configs(tmp_path)["task"].tolist() == ["CartPole-v1 (max_episode_steps=200)"]
    assert load_runs(tmp_path)["task"].unique().tolist() == ["CartPole-v1 (max_episode_steps=200)"]


def test_a_second_load_is_the_same_frame(make_run, tmp_path, later):
    make_run("grid/a", **{"target.interval": 1})
    path = make_run("grid/b", seed=1) / "episodes.csv"
    path.write_text("episode,step,return,length,fill\n0,20,20,20,\n1,40,20,20,7\n")
    first = load_runs(tmp_path)
    assert (tmp_path / "grid/.analysis/episodes.parquet").is_file()
    assert_frame_equal(load_runs(tmp_path), first)


def test_loading_imports_no_torch_and_no_statistics():
    """Importing scipy alone takes a second."""
    heavy = {"torch", "hydra", "scipy", "statsmodels"}
    code = f"import sys, dqn_lab.analysis; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "set()"
