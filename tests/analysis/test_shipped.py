"""The results that come with the lab can be loaded, and agree with the READMEs."""

import itertools
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import dqn_lab
from dqn_lab.analysis import (
    AnalysisError,
    learning_curves,
    load_configs,
    load_runs,
    load_shipped,
    shipped,
)
from dqn_lab.cli import main
from dqn_lab.cli.sweep import find_question
from dqn_lab.tasks import TASKS
from tests.analysis.report.conftest import BLANK
from tests.benchmarks import ship

ROOT = Path(__file__).parents[2]
ANSWERS = (ROOT / "sweeps" / "README.md").read_text(encoding="utf-8")
QUOTED, KOREAN = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", ".github/README.ko.md"))
QUESTIONS = load_shipped()["question"].tolist()
RECIPES = ("recipes", "recipes_acrobot", "recipes_mountain_car", "recipes_lunar_lander")


def test_the_readmes_questions_are_there():
    assert set(QUESTIONS) >= {"replay", "target_interval", "target_network", "tutorial", *RECIPES}


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_variant_has_its_seeds_and_its_curves(question):
    runs, evaluations = load_shipped(question), load_shipped(question, table="evaluations")
    assert find_question(question).is_file()
    assert (runs["status"] == "completed").all()
    assert runs.groupby("variant", observed=True)["seed"].agg(set).map(len).nunique() == 1
    (task,) = runs["task"].unique()
    assert runs["final_return"].between(*TASKS[task].bounds).all()
    assert set(evaluations["run"]) == set(runs["run"])
    curves = learning_curves(evaluations)
    assert set(curves["variant"]) == set(runs["variant"])


@pytest.mark.parametrize("question", ["target_network", "buffer_capacity"])  # variants by name, and of a grid
def test_an_included_answer_has_a_report_of_its_own(question, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("dqn_lab.analysis.report.pictures.render", lambda draw, name: BLANK)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        main(["report", question])
    assert exit_.value.code == 0
    assert f"report    outputs/answers/{question}/index.html" in capsys.readouterr().out
    page = (tmp_path / "outputs/answers" / question / "index.html").read_text(encoding="utf-8")
    assert f"python -m dqn_lab sweep {question} seed=&#39;range(1000,1100)&#39;" in page
    assert "Versions and times" not in page  # nobody recorded them
    assert ("buffer.capacity=100" in page.replace("<wbr>", "")) == (question == "buffer_capacity")
    assert ((tmp_path / "outputs/answers" / question / "figures" / "sensitivity.svg").is_file()) == (
        question == "buffer_capacity"
    )
    text = " ".join(re.sub(r"<[^>]*>", "", page).split())
    (answered,) = re.findall(rf"<!-- answer: {question} -->\n\n(.*?)\n\n", ANSWERS, re.DOTALL)
    assert " ".join(answered.replace("> ", "").split()) in text.replace("\u00a0", " ")
    assert dqn_lab.report(question, out=tmp_path / "again").index.is_file()


def test_a_directory_named_like_an_included_answer_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "replay").mkdir()
    with pytest.raises(dqn_lab.ConfigError, match="replay: "):
        dqn_lab.report("replay")
    for name in ("../replay", "nothing", str(tmp_path / "target_network")):
        with pytest.raises(dqn_lab.ConfigError, match="no such"):
            dqn_lab.report(name)


def test_what_an_included_answer_lacks_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(dqn_lab.ConfigError, match=r"^videos: the results of replay are included without policies; run"):
        dqn_lab.report("replay", videos=True)
    with pytest.raises(dqn_lab.ConfigError, match=r"^replay: no such directory; the answer .* is reported alone"):
        dqn_lab.report("replay", "target_network")


def test_every_answer_is_in_the_readme():
    assert set(re.findall(r"<!-- answer: (\w+) -->", ANSWERS)) >= set(QUESTIONS)


def test_the_readmes_answers_and_tables_agree_with_the_data():
    program = ROOT / "tests" / "benchmarks" / "tables.py"
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("agrees with the data") == 3


def test_the_main_readme_quotes_the_answers():
    quoted = [line for line in QUOTED.splitlines() if line.startswith("> ")]
    assert quoted
    assert all(line in ANSWERS for line in quoted)


@pytest.mark.parametrize(("question", "variants"), [
    ("replay", {"없음": "none", "최근 64개": "the last 64", "최근 1,000개": "the last 1,000",
                "최근 50,000개(노트북)": "the last 50,000"}),
    ("target_interval", {"매 스텝(타깃 네트워크가 없는 것과 같음)": "every step", "10 스텝": "every 10 steps",
                         "100 스텝": "every 100 steps", "1,000 스텝": "every 1,000 steps",
                         "10,000 스텝": "every 10,000 steps", "10 에피소드(노트북)": "every 10 episodes"}),
])  # fmt: skip
def test_the_korean_tables_agree_with_the_data(question, variants):
    """Each row has the mean and how many of 100 runs reach 475."""
    scores = load_shipped(question).groupby("variant", observed=True)["final_return"]
    rows = [[cell.strip() for cell in line.replace("**", "").split("|")] for line in KOREAN.splitlines()]
    for label, variant in variants.items():
        score = scores.get_group(variant)
        assert ["", label, f"{score.mean():.1f}", f"{(score >= 475).sum()}", ""] in rows, label


def test_the_korean_table_of_deviations_agrees_with_the_data():
    means = load_shipped("tutorial").groupby("variant", observed=True)["final_return"].mean()
    written = re.findall(r"^\| .* \| .* \| (\d+\.\d) \|$|^\| .* \| \| (\d+\.\d) \|$", KOREAN, re.MULTILINE)
    order = ["standard DQN", "64 different transitions", "two steps on halves", "loss over both actions", "Keras' Adam",
             "Glorot weights", "a time limit terminates", "ε may end below 0.01", "the notebook"]  # fmt: skip
    assert [first or second for first, second in written] == [f"{means[name]:.1f}" for name in order]


def test_an_unknown_question_is_answered_with_the_known_ones():
    with pytest.raises(AnalysisError, match=r"question=repaly: no such question; did you mean replay"):
        load_shipped("repaly")
    with pytest.raises(AnalysisError, match="table=episodes: no such table; choices: runs, evaluations"):
        load_shipped("replay", table="episodes")


def test_packing_keeps_what_was_measured(make_run, tmp_path, monkeypatch):
    for interval in (1, 10):
        for seed in range(3):
            make_run(f"sweep/{interval}-{seed}", seed=seed, final=100 + seed, **{"target.interval": interval})
    runs, evaluations = load_configs(tmp_path / "sweep"), load_runs(tmp_path / "sweep", table="evaluations")
    shipped.pack(runs, evaluations, "mine", tmp_path / "answers")
    files = {path.name: path.read_bytes() for path in (tmp_path / "answers").iterdir()}
    shipped.pack(runs, evaluations, "mine", tmp_path / "again")
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    monkeypatch.setattr(shipped, "_directory", lambda: tmp_path / "answers")
    assert load_shipped().to_dict("records") == [{"question": "mine", "variants": 2, "runs": 6}]
    loaded = load_shipped("mine").set_index(["variant", "seed"])["final_return"]
    assert loaded.round(1).to_dict() == runs.set_index(["variant", "seed"])["final_return"].round(1).to_dict()
    assert len(load_shipped("mine", table="evaluations")) == len(evaluations)


def test_more_seeds_are_added_to_those_that_are_shipped(make_run, tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "_directory", lambda: tmp_path / "answers")
    monkeypatch.setattr(ship, "ANSWERS", tmp_path / "answers")
    monkeypatch.setattr(ship, "read_sweep", lambda path: SimpleNamespace(name="mine"))
    files = {}
    both, one = (1, 10), (10,)
    for directory, seeds, intervals, options in (
        ("all", range(4), both, []), ("first", range(2), both, []), ("more", range(1, 4), both, ["--add"]),
        ("target.interval=10", range(4), one, ["--add", "--question", "mine"]),
    ):  # fmt: skip
        for seed, interval in itertools.product(seeds, intervals):
            make_run(f"{directory}/{interval}-{seed}", seed=seed, final=seed, **{"target.interval": interval})
        monkeypatch.setattr("sys.argv", ["ship.py", *options, str(tmp_path / directory)])
        ship.main()
        files[directory] = {path.name: path.read_bytes() for path in (tmp_path / "answers").iterdir()}
    assert files["target.interval=10"] == files["more"] == files["all"] != files["first"]
