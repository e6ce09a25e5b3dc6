"""Runs are found, told apart and named."""

import json
import re
import warnings

import pytest
from pandas.testing import assert_frame_equal

from dqn_lab.analysis import AnalysisError, SkippedRuns, load_configs, load_runs, read_sweep
from dqn_lab.analysis.runs import find_runs


def write_sweep(directory, jobs, **more):
    variants = dict.fromkeys(variant for variant, _, _ in jobs)
    content = {
        "name": "target", "question": "Does it matter?", "command": "…", "control": "slow", "metric": "final_return",
        "variants": {label: [] for label in variants}, "seeds": [0, 1],
        "jobs": [{"variant": v, "seed": s, "hash": "0", "directory": d} for v, s, d in jobs], **more,
    }  # fmt: skip
    (directory / "sweep.json").write_text(json.dumps(content))


def test_a_grid_is_named_by_the_keys_that_differ(make_run, tmp_path):
    for seed in (0, 1):
        for interval in (1, 10):
            make_run(f"grid/{interval},{seed}", seed=seed, **{"target.interval": interval})
    configs = load_configs(tmp_path)
    assert set(configs["variant"]) == {"target.interval=1", "target.interval=10"}
    assert configs.attrs["swept"] == ["target.interval"]
    assert configs["target.interval"].dtype == "int64"


def test_keys_that_follow_from_the_choice_of_a_component_are_not_in_its_name(make_run, tmp_path):
    make_run("grid/a")
    make_run("grid/b", **{"target.name": "polyak", "target.tau": 0.01}, without=("interval", "unit"))
    assert set(load_configs(tmp_path)["variant"]) == {"target.name=periodic", "target.name=polyak"}


def test_true_is_told_from_one_and_null_is_written(make_run, tmp_path):
    make_run("grid/a", episodes=None, steps=True)
    make_run("grid/b", episodes=None, steps=1)
    make_run("grid/c", episodes=5, steps=1)
    labels = {"episodes=null, steps=true", "episodes=null, steps=1", "episodes=5, steps=1"}
    assert set(load_configs(tmp_path)["variant"]) == labels


def test_directories_of_one_configuration_each_are_variants_by_their_names(make_run, tmp_path):
    for seed in (0, 1):
        make_run(f"slow/{seed}", seed=seed)
        make_run(f"fast/{seed}", seed=seed, **{"target.interval": 1})
    configs = load_configs(tmp_path / "slow", tmp_path / "fast")
    assert list(configs["variant"].unique()) == ["slow", "fast"]


def test_a_sweep_names_its_variants_and_a_run_may_be_in_two(make_run, tmp_path):
    make_run("sweep/a")
    make_run("sweep/b", **{"target.interval": 1})
    write_sweep(tmp_path / "sweep", [("slow", 0, "a"), ("also slow", 0, "a"), ("fast", 0, "b")])
    configs = load_configs(tmp_path / "sweep")
    assert list(zip(configs["variant"], configs["run"], strict=True)) == [
        ("slow", "a"),
        ("also slow", "a"),
        ("fast", "b"),
    ]
    assert list(load_configs(tmp_path / "sweep" / "b")["variant"]) == ["fast"]
    sweep = read_sweep(tmp_path / "sweep")
    assert (sweep.control, sweep.question, list(sweep.variants)) == (
        "slow",
        "Does it matter?",
        ["slow", "also slow", "fast"],
    )
    assert read_sweep(tmp_path) is None
    with pytest.raises(AnalysisError, match="typo: no such directory"):
        read_sweep(tmp_path / "typo")
    with pytest.raises(AnalysisError, match="5: no such directory"):
        read_sweep(5)


@pytest.fixture
def shared(make_run, tmp_path):
    """A sweep whose run `a` belongs to two variants, and one of whose jobs has not begun."""
    make_run("sweep/a")
    make_run("sweep/b", **{"target.interval": 1})
    make_run("sweep/c", seed=1)
    jobs = [("slow", 0, "a"), ("slow", 1, "c"), ("also slow", 0, "a"), ("fast", 0, "b"), ("fast", 1, "missing")]
    write_sweep(tmp_path / "sweep", jobs)
    return tmp_path / "sweep"


def test_lists_frames_and_some_rows_of_frames_stand_for_their_runs(shared):
    configs = load_configs(shared)
    for whole in ([shared], [[shared / "a", shared / "b"], shared / "c"], [configs], [configs["directory"]]):
        assert_frame_equal(load_configs(*whole), configs)
    for part in (configs[configs["seed"] == 0], configs[configs["variant"] == "also slow"], configs[:1]):
        some = load_configs(part)
        assert some[["run", "variant"]].to_numpy().tolist() == part[["run", "variant"]].to_numpy().tolist()
    assert load_configs(configs[configs["variant"] == "fast"]).attrs["control"] is None, "it is not among them"
    assert set(load_runs([configs[:1]])["variant"]) == {"slow"}


def test_a_sweep_counts_the_jobs_that_were_asked_for(shared):
    configs = load_configs(shared)
    for paths, number in ([shared], 5), ([configs], 5), ([configs[:3]], 3), ([shared / "b"], 1):
        (sweep,) = find_runs(paths).sweeps
        assert len(sweep.jobs) == number
        assert sweep.question == ("Does it matter?" if number == 5 else None)


def test_a_frame_that_does_not_name_runs_is_refused(shared):
    configs = load_configs(shared)
    for frame, said in [
        (
            configs.drop(columns="directory"),
            "a frame without the columns directory and variant: must be of load_config",
        ),
        (configs[configs["seed"] == 5], "a frame without rows: names no run"),
        (configs.assign(variant="slwo"), "variant=slwo: no such variant of this sweep; did you mean slow?"),
    ]:
        with pytest.raises(AnalysisError, match=re.escape(said)):
            load_configs(frame)


def test_an_earlier_attempt_is_left_out_even_if_it_got_further(make_run, tmp_path):
    make_run("sweep/a", status="running")
    make_run("sweep/a.attempt1")
    write_sweep(tmp_path / "sweep", [("slow", 0, "a")])
    make_run("sweep/b")
    with pytest.warns(SkippedRuns, match=r"left out a run: .*b: is not a job in its sweep\.json"):
        assert list(load_configs(tmp_path)["run"]) == ["a"]


def test_the_runs_of_a_damaged_sweep_are_read_without_it(make_run, tmp_path):
    make_run("sweep/a")
    make_run("sweep/b", **{"target.interval": 1})
    (tmp_path / "sweep" / "sweep.json").write_text('{"name": ')
    with pytest.warns(SkippedRuns, match=r"sweep\.json: damaged: .*; its runs are read without it"):
        assert set(load_configs(tmp_path)["variant"]) == {"target.interval=10", "target.interval=1"}
    with pytest.raises(AnalysisError, match=r"sweep\.json: damaged"):
        read_sweep(tmp_path / "sweep")


def test_a_long_name_keeps_only_the_most_distinctive_keys(make_run, tmp_path):
    many = {"network.hidden": [64], "target.interval": 5, "target.unit": "steps", "env.max_episode_steps": 200}
    for seed in (0, 1):
        make_run(f"runs/{seed}-a", seed=seed)
        make_run(f"runs/{seed}-b", seed=seed, **many)
        make_run(f"runs/{seed}-c", seed=seed, **{**many, "network.hidden": [8]})
    configs = load_configs(tmp_path)
    assert set(configs["variant"]) == {f"network.hidden={text}" for text in ("[24, 24]", "[64]", "[8]")}


def test_runs_in_a_dated_directory_are_named_by_their_overrides(make_run, tmp_path):
    many = {"network.hidden": [64], "target.interval": 5, "target.unit": "steps", "env.max_episode_steps": 200}
    make_run("2026-11-28/10-00-00_experiment=cartpole,seed=3-0123abcd", seed=3, **many)
    assert load_configs(tmp_path)["variant"].tolist() == ["experiment=cartpole"]
    make_run("2026-11-28/10-05-00_default-89abcdef")
    assert set(load_configs(tmp_path)["variant"]) == {"experiment=cartpole", "default"}
    make_run("2026-11-29/10-05-00_default,seed=4-01234567", seed=4)
    assert load_configs(tmp_path)["variant"].value_counts().to_dict() == {"default": 2, "experiment=cartpole": 1}


def test_seeds_in_a_dated_directory_are_named_by_their_other_overrides(make_run, tmp_path):
    for seed in (1, 2):
        make_run(f"2026-11-28_10-00-00/seed={seed},steps=600-0123abc{seed}", seed=seed)
    assert load_configs(tmp_path)["variant"].tolist() == ["steps=600", "steps=600"]


def test_a_single_run_is_named_by_the_directory_that_it_was_given(make_run, tmp_path):
    make_run("outputs/mine")
    assert load_configs(tmp_path / "outputs" / "mine")["variant"].tolist() == ["mine"]


def test_the_same_run_twice_counts_once(make_run, tmp_path):
    make_run("grid/a", status="interrupted")
    make_run("grid/b", display="bar", logger={})
    make_run("grid/c", seed=1)
    with pytest.warns(SkippedRuns, match="left out a run: .*a: the same run as b: same configuration, same seed"):
        configs = load_configs(tmp_path, tmp_path / "grid", tmp_path / "grid" / "c")
    assert list(configs["run"]) == ["b", "c"]
    assert list(configs.attrs["skipped"]) == [str(tmp_path / "grid" / "a")]


def test_damaged_records_are_left_out_by_name(make_run, tmp_path):
    for name in "abcd":
        make_run(f"grid/{name}", seed=ord(name))
    (tmp_path / "grid/b/run.json").write_text("")
    (tmp_path / "grid/c/run.json").write_text('{"status": "runn')
    (tmp_path / "grid/d/run.json").write_text("[]")
    with pytest.warns(
        SkippedRuns, match="left out 3 runs: .*b: run.json is empty; .*c: .*damaged; .*d: .*not the record"
    ):
        assert list(load_configs(tmp_path)["run"]) == ["a"]


@pytest.mark.parametrize("part", [
    {"scores": "done"}, {"scores": {"final": 500.0}}, {"scores": {"final": {"return_mean": "high"}}},
    {"progress": [1, 2]}, {"engine": "fused"}, {"versions": 3}, {"git": "abc"}, {"wall_seconds": "long"},
])  # fmt: skip
def test_a_record_of_another_shape_is_left_out_by_name(make_run, tmp_path, part):
    make_run("grid/a")
    record = json.loads((make_run("grid/b", seed=1) / "run.json").read_text())
    (tmp_path / "grid/b/run.json").write_text(json.dumps(record | part))
    with pytest.warns(SkippedRuns, match="left out a run: .*b: .*not the record"):
        assert list(load_configs(tmp_path)["run"]) == ["a"]


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_no_runs_is_an_error_of_one_line(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(AnalysisError, match=r"no runs here|no such directory") as error:
        load_configs(tmp_path / name)
    assert "\n" not in str(error.value)


def test_runs_of_one_name_in_two_sweeps_are_told_apart(make_run, tmp_path):
    make_run("one/a")
    make_run("two/a")
    configs = load_configs(tmp_path)
    assert list(configs["run"]) == ["one/a", "two/a"]
    assert list(configs["variant"]) == ["one", "two"]


def test_a_row_holds_the_fields_of_its_record(make_run, tmp_path):
    make_run("grid/a")
    make_run("grid/b", seed=1, status="interrupted")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        configs = load_configs(tmp_path).set_index("run")
    assert configs.loc["a", ["status", "final_return", "best_return", "last_100", "engine"]].tolist() == [
        "completed", 500.0, 450.0, 300.0, "fused",
    ]  # fmt: skip
    assert configs["final_return"].isna().tolist() == [False, True]
    assert configs.loc["a", "network.hidden"] == "[24, 24]"
    assert configs.loc["a", "versions.torch"] == "2"
    assert configs["seed"].dtype == "int64"


def test_a_limit_of_evaluation_episodes_tells_runs_apart_but_not_from_older_runs_without_the_key(make_run, tmp_path):
    for number, seed in enumerate((0, 1)):
        make_run(f"g/old-{number}", seed=seed, evaluation={"interval": 50})
        make_run(f"g/default-{number}", seed=seed + 2, evaluation={"interval": 50, "max_steps": 100_000})
        make_run(f"g/short-{number}", seed=seed, evaluation={"interval": 50, "max_steps": 100})
    frame = load_configs(tmp_path / "g")
    assert frame.attrs["skipped"] == {}
    assert frame.groupby("variant", observed=True)["seed"].agg(list).to_dict() == {
        "evaluation.max_steps=100000": [2, 3, 0, 1], "evaluation.max_steps=100": [0, 1],
    }  # fmt: skip


def test_of_the_same_run_with_and_without_diagnostics_the_one_with_them_is_kept(make_run, tmp_path):
    make_run("g/default-00000000", diagnostics={"name": "none"})
    make_run("g/diagnostics=probe-00000001", diagnostics={"name": "probe"})
    with pytest.warns(SkippedRuns, match="the same run as diagnostics=probe"):
        assert list(load_configs(tmp_path / "g")["run"]) == ["diagnostics=probe-00000001"]
