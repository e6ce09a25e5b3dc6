"""Every number in tables of variants is checked by hand, and invalid scores are refused."""

import json
import re
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from scipy import stats
from statsmodels.stats.multitest import multipletests

from dqn_lab.analysis import AnalysisError, NoBounds, compare, distribution, load_configs, summarize
from dqn_lab.analysis.verdicts import holm_levels

RLIABLE = json.loads((Path(__file__).parent / "data" / "rliable.json").read_text())


def frame(**variants):
    rows = [
        {"run": f"{name}{seed}", "variant": name, "seed": seed, "task": "CartPole-v1", "final_return": score}
        for name, scores in variants.items()
        for seed, score in enumerate(scores)
    ]
    return pandas.DataFrame(rows)


def test_a_summary_by_hand():
    """Eight scores: the middle four are 200 … 500; Wilson of 3 in 8 at z = 1.96 is 0.137 to 0.694."""
    scores = frame(a=[100, 0, 300, 200, 400, 500, 500, 500])
    (row,) = summarize(scores).to_dict("records")
    assert (row["variant"], row["seeds"], row["missing"], row["successes"]) == ("a", 8, 0, 3)
    assert (row["mean"], row["median"], row["iqm"]) == (312.5, 350.0, (200 + 300 + 400 + 500) / 4)
    assert row["p10"] == pytest.approx(70.0)  # 0.7 of the way from 0 to 100
    assert (row["success_rate"], row["success_low"], row["success_high"]) == pytest.approx(
        (0.375, 0.1368, 0.6943), abs=1e-3
    )
    assert row["mean_low"] < row["mean"] < row["mean_high"]
    assert row["iqm_low"] < row["iqm"] < row["iqm_high"] <= 500


def test_the_interquartile_mean_and_the_improvement_are_those_of_rliable(final_returns):
    summary = summarize(final_returns).set_index("variant")
    assert summary["iqm"].to_dict() == pytest.approx(RLIABLE["iqm"])
    assert summary["mean"].to_dict() == pytest.approx(RLIABLE["mean"])
    table = compare(final_returns, control="default").set_index("variant")
    assert table.loc["cartpole", "improvement"] == pytest.approx(RLIABLE["improvement"]["cartpole,default"])
    assert 1 - table.loc["tutorial", "improvement"] == pytest.approx(RLIABLE["improvement"]["default,tutorial"])
    low, high = RLIABLE["improvement_interval"]["default,tutorial"]
    ours = 1 - table.loc["tutorial", ["improvement_high", "improvement_low"]].to_numpy(float)
    assert ours == pytest.approx([low, high], abs=0.01)


def test_ties_count_half():
    table = compare(frame(control=[1, 2], variant=[2, 2]), control="control")
    assert table["improvement"].tolist() == [0.75]
    lower = compare(frame(control=[1, 2], variant=[2, 2]), control="control", higher_is_better=False)
    assert lower["improvement"].tolist() == [0.25]


def test_the_control_is_the_questions_or_else_the_first_variant():
    scores = frame(a=[1, 2], b=[2, 2])
    assert compare(scores)["control"].tolist() == ["a"], "the first"
    scores.attrs["control"] = "b"
    assert compare(scores)["control"].tolist() == ["b"]
    assert compare(scores.assign(size=scores["variant"].map({"a": 1, "b": 2})), by="size")["control"].tolist() == [1]
    scores.attrs["control"] = "c"
    with pytest.raises(AnalysisError, match=r"^“c”, the sweep's control, has no rows here; pass control=, one of “a” "):
        compare(scores)


def test_verdicts_and_levels_are_holms(final_returns):
    table = compare(final_returns, control="default").set_index("variant")
    assert table["verdict"].to_dict() == {"cartpole": "better", "tutorial": "undecided"}
    assert table["level"].to_dict() == pytest.approx({"cartpole": 0.975, "tutorial": 0.95})
    assert table["p_holm"].tolist() == multipletests(table["p_value"], method="holm")[1].tolist()
    worse = compare(final_returns, control="default", higher_is_better=False)
    assert worse["verdict"].tolist() == ["worse", "undecided"]


def test_a_difference_far_from_bounds_has_nearly_welchs_interval():
    """On 60 seeds of normal scores with unknown bounds, the two methods must agree."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(3.0, 1.0, 60), rng.normal(2.0, 2.0, 60)
    with pytest.warns(NoBounds, match=r"no `task` column and no bounds=\(low, high\): no bounds are assumed"):
        table = compare(frame(control=other, variant=one).drop(columns="task"), control="control")
    welch = stats.ttest_ind(one, other, equal_var=False).confidence_interval()
    assert table[["low", "high"]].iloc[0].tolist() == pytest.approx([welch.low, welch.high], abs=0.12)
    assert table["difference"].iloc[0] == pytest.approx(one.mean() - other.mean())


@settings(max_examples=20)
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=8))
def test_levels_decide_what_holm_decides(thousandths):
    p_values = np.array(thousandths) / 10_000
    rejected = multipletests(p_values, method="holm")[0]
    assert (p_values <= (1 - holm_levels(p_values, 0.95)) * (1 + 1e-9)).tolist() == rejected.tolist()


@settings(max_examples=2)
@given(st.randoms())
def test_the_order_of_the_runs_does_not_matter(random):
    scores = frame(a=[100, 0, 300, 400], b=[500, 500, 20, 30], c=[1, 2, 3, 4])
    order = random.sample(range(len(scores)), len(scores))
    shuffled = scores.iloc[order]
    by = {"ignore_index": True, "by": "variant"}
    assert_frame_equal(summarize(shuffled).sort_values(**by), summarize(scores).sort_values(**by))
    ours, theirs = compare(shuffled, control="b"), compare(scores, control="b")
    assert_frame_equal(ours.sort_values(**by), theirs.sort_values(**by))


def test_runs_without_a_score_are_counted_as_missing_only():
    scores = frame(a=[100.0, np.nan, 300.0, np.nan], b=[np.nan, np.nan, np.nan, np.nan])
    summary = summarize(scores)
    assert summary[["seeds", "missing"]].to_numpy().tolist() == [[2, 2], [0, 4]]
    assert summary["mean"].tolist()[0] == 200.0
    assert np.isnan(summary["mean"].tolist()[1])
    with pytest.raises(AnalysisError, match="variant=b: none of its 4 runs has a score in final_return"):
        compare(scores, control="a")


@pytest.mark.parametrize("worst", [np.inf, -np.inf])
def test_infinite_scores_are_refused(worst):
    """Leaving them out would favour the variant that fails."""
    scores = frame(reliable=[100.0, 120.0], lucky=[10.0, worst])
    for function in (summarize, compare, distribution):
        with pytest.raises(
            AnalysisError, match=r"^metric=final_return: infinite in 1 of 4 runs, .* or by NaN to count"
        ):
            function(scores)


def test_the_threshold_and_the_bounds_are_the_tasks():
    scores = frame(a=[-120.0, -90.0, -80.0])
    assert summarize(scores.assign(task="Acrobot-v1"))["successes"].tolist() == [2]
    assert summarize(scores.assign(task="Acrobot-v1"))["mean_high"].iloc[0] <= 0
    assert summarize(scores.assign(task="Mine-v0"))["successes"].isna().all()
    assert summarize(scores.assign(task="Mine-v0"), threshold=-85)["successes"].tolist() == [1]
    wide = summarize(scores.assign(task="Mine-v0"), bounds=(-1000, 0))
    assert wide["mean_low"].iloc[0] < summarize(scores.assign(task="Mine-v0"))["mean_low"].iloc[0]


def test_an_interval_contains_its_difference():
    """At the bounds no draw reaches the observed difference: all at 500 against all at 0."""
    row = compare(frame(a=[500.0] * 10, b=[0.0] * 10), control="b").iloc[0]
    assert row["low"] <= row["difference"] == 500 <= row["high"]
    row = compare(frame(a=[0.0] * 10, b=[500.0] * 10), control="b").iloc[0]
    assert row["low"] <= row["difference"] == -500 <= row["high"]


def test_bounds_that_a_score_contradicts_are_dropped():
    assert summarize(frame(a=[400.0, 600.0, 650.0]))["mean_high"].iloc[0] > 600
    with pytest.raises(AnalysisError, match=r"bounds=\(0, 500\): final_return=600 lies outside"):
        summarize(frame(a=[400.0, 600.0]), bounds=(0, 500))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"metric": "final_retrun"},
            r"metric=final_retrun: no such column of numbers; did you mean final_return\? choices: ",
        ),
        ({"metric": "variant"}, "metric=variant: holds text, not numbers; choices: final_return$"),
        ({"by": "varaint"}, r"by=varaint: no such column; did you mean variant\?"),
        ({"control": "c"}, "variant=c: no such control|control=c: no such variant"),
    ],
)
def test_names_that_do_not_exist_are_answered_with_those_that_do(arguments, message):
    with pytest.raises(AnalysisError, match=message) as error:
        compare(frame(a=[1, 2], b=[3, 4]), **{"control": "a", **arguments})
    assert "\n" not in str(error.value)


def test_a_comparison_without_other_variants_or_runs_is_refused():
    with pytest.raises(AnalysisError, match="control=a: there is no other variant to compare it with"):
        compare(frame(a=[1, 2]), control="a")
    with pytest.raises(AnalysisError, match="there are no runs"):
        summarize(frame(a=[1.0]).iloc[:0])


def test_a_duplicate_seed_is_refused():
    twice = pandas.concat([frame(a=[1, 2]), frame(a=[3])])
    with pytest.raises(AnalysisError, match="variant=a: seed 0 occurs more than once; there must be one score"):
        summarize(twice)


def test_a_duplicate_seed_is_answered_with_the_columns_that_tell_variants_apart():
    parts = [frame(**{f"{i}{n}": [1, 2]}).assign(interval=i, network=n) for i in (1, 10) for n in "ab"]
    grid = pandas.concat(parts, ignore_index=True)
    grid.attrs["swept"] = ["interval", "network"]
    for function in (compare, summarize):
        with pytest.raises(
            AnalysisError, match=re.escape("; network differs too: by='variant', or average over network")
        ):
            function(grid, by="interval")
    assert len(summarize(grid, by=["interval", "network"])) == len(compare(grid)) + 1 == 4
    twice = pandas.concat([frame(a=[1, 2], b=[1, 2])] * 2)
    with pytest.raises(AnalysisError, match="for several sweeps: compare each separately"):
        compare(twice)
    with pytest.raises(AnalysisError, match=re.escape("for several sweeps: by=['sweep', 'variant']")):
        summarize(twice)


def test_sweeps_with_other_settings_are_not_pooled_under_one_label():
    parts = [frame(a=[1, 2], b=[1, 2]).assign(sweep=name, steps=steps) for name, steps in (("one", 10), ("two", 20))]
    parts[1]["seed"] += 5
    both = pandas.concat(parts, ignore_index=True)
    both.attrs["swept"] = ["steps"]
    said = "“a”: its runs in several sweeps differ in steps; for several sweeps: "
    with pytest.raises(AnalysisError, match=f"^{said}compare each separately$"):
        compare(both)
    with pytest.raises(AnalysisError, match=re.escape(f"{said}by=['sweep', 'variant']")):
        summarize(both)
    assert len(summarize(both, by=["sweep", "variant"])) == 4
    assert len(summarize(both, by=["variant", "steps"])) == 4
    assert compare(both.assign(steps=10))["seeds"].item() == 4  # more seeds of the same question
    both.attrs = {}  # as of frames that were concatenated
    with pytest.raises(AnalysisError, match=f"^{said}"):
        compare(both)
    both["versions.torch"] = both["sources.mine"] = both["evaluation.interval"] = both["seed"].astype(str)
    both.attrs["swept"] = ["evaluation.interval", "steps"]
    assert compare(both.assign(steps=10))["seeds"].item() == 4


def test_less_wall_time_is_better():
    seconds = frame(slow=[10.0, 10.1, 10.2] * 10, fast=[2.0, 2.1, 2.2] * 10).rename(
        columns={"final_return": "wall_seconds"}
    )
    assert compare(seconds, "wall_seconds")["verdict"].item() == "better"
    assert compare(seconds, "wall_seconds", higher_is_better=True)["verdict"].item() == "worse"
    assert compare(seconds.rename(columns={"wall_seconds": "by"}), "by")["verdict"].item() == "better"


def test_mixed_tasks_are_refused_and_can_be_summarized_separately():
    mixed = frame(a=[1, 2], b=[3, 4])
    mixed.loc[mixed["variant"] == "b", "task"] = "Acrobot-v1"
    with pytest.raises(
        AnalysisError, match="CartPole-v1 and Acrobot-v1: returns of different tasks cannot be compared"
    ):
        compare(mixed, control="a")
    assert summarize(mixed)["variant"].tolist() == ["a", "b"]
    with pytest.raises(AnalysisError, match="different tasks"):
        summarize(mixed.assign(all="all", seed=range(4)), by="all")


def test_one_seed_is_undecided():
    table = compare(frame(a=[10.0], b=[20.0]).assign(task="Mine-v0"), control="a")
    assert table["verdict"].tolist() == ["undecided"]
    assert compare(frame(a=[0.0], b=[500.0]), control="a")["verdict"].tolist() == ["undecided"]


def test_several_columns_tell_variants_apart(make_run, tmp_path):
    for sweep in ("one", "two"):
        for interval in (1, 10):
            make_run(f"{sweep}/{interval}", **{"target.interval": interval})
    configs = load_configs(tmp_path)
    with pytest.raises(AnalysisError, match="seed 0 occurs more than once"):
        summarize(configs)
    assert len(summarize(configs, by=["sweep", "variant"])) == 4


@pytest.mark.parametrize("seeds", [3, 5, 30])
def test_an_interval_contains_its_estimate_even_if_all_runs_agree(seeds):
    """Every run of one variant beats every run of the other, or scores the most that is possible."""
    rows = [
        {"variant": name, "seed": seed, "task": "CartPole-v1", "final_return": 500.0 if name == "b" else 100.0 + seed}
        for name in "ab"
        for seed in range(seeds)
    ]
    for control, share in (("a", 1.0), ("b", 0.0)):
        row = compare(pandas.DataFrame(rows), control=control).iloc[0]
        assert row["improvement"] == share
        assert row["improvement_low"] <= share <= row["improvement_high"]
        assert row["low"] <= row["difference"] <= row["high"]
    for _, row in summarize(pandas.DataFrame(rows)).iterrows():
        for name in ("mean", "iqm", "success"):
            estimate = row["success_rate"] if name == "success" else row[name]
            assert row[f"{name}_low"] <= estimate <= row[f"{name}_high"]
