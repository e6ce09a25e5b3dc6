"""A resumed run equals one that was never stopped; one that cannot be resumed is refused with the reason."""

import csv
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from dqn_lab import interrupt
from dqn_lab.analysis import load_configs
from dqn_lab.cli._policy import open_policy
from dqn_lab.engine import auto
from dqn_lab.locks import Claim
from dqn_lab.records import read_record
from dqn_lab.run import Run
from dqn_lab.scoring import Scoring

SHORT = ("logger=csv", "episodes=null", "steps=400", "display=none", "train.learning_starts=64",
         "evaluation.interval=150", "evaluation.unit=steps", "evaluation.num_episodes=2",
         "evaluation.final_num_episodes=3", "checkpoint.unit=steps", "checkpoint.interval=100")  # fmt: skip


def results(directory):
    return {name: (Path(directory) / f"{name}.csv").read_bytes() for name in ("episodes", "evaluations")}


def states(directory):
    return sorted(path for path in (Path(directory) / "checkpoint").glob("0*.safetensors"))


@pytest.fixture
def train(cli):
    """Trains into a directory of the given name."""

    def call(name, *overrides, code=0):
        outcome = cli("train", *SHORT, *overrides, f"hydra.run.dir={name}")
        assert outcome.code == code, outcome.err
        return outcome

    return call


@pytest.fixture
def stop(monkeypatch):
    """Raises `Interrupted` at the given safe point."""

    def at(number, signal=15):
        left = [number]

        def check():
            left[0] -= 1
            if left[0] == 0:
                raise interrupt.Interrupted(signal, safe=True)

        monkeypatch.setattr(interrupt, "check", check)

    return at


@pytest.mark.parametrize("overrides", [(), ("experiment=prioritized", "buffer.n_step=3", "buffer.capacity=150")])
@pytest.mark.parametrize(("rollout", "safe_points"), [
    ("python", (1,)), ("python", (12,)), ("python", (3, 7, 4)), pytest.param("compiled", (1,), marks=pytest.mark.slow),
    ("compiled", (3, 2, 1)),
])  # fmt: skip
def test_a_stopped_run_ends_as_if_it_had_not_been_stopped(train, cli, stop, overrides, rollout, safe_points):
    overrides = (*overrides, f"rollout={rollout}", "env.implementation=compiled")
    train("whole", *overrides)
    for number, safe_point in enumerate(safe_points):
        stop(safe_point)
        outcome = cli("resume", "stopped") if number else train("stopped", *overrides, code=143)
        assert outcome.code == 143
        assert outcome.err.endswith("\nnext      python -m dqn_lab resume stopped\n")
        assert read_record(Path("stopped"))["status"] == "interrupted"
    stop(-1)
    outcome = cli("resume", "stopped")
    assert outcome.code == 0, outcome.err
    assert results("stopped") == results("whole")
    record, whole = read_record(Path("stopped")), read_record(Path("whole"))
    assert record["scores"] == whole["scores"]
    assert len(record["resumed"]) == len(safe_points)
    with Path("stopped/timing.csv").open() as file:
        assert [row["resumed"] for row in csv.DictReader(file)][-1] == str(len(safe_points))


ROLLOUTS = ("rollout=python", "rollout=compiled")


@pytest.mark.parametrize("overrides", [
    (), ("experiment=prioritized", "buffer.n_step=3", "buffer.capacity=150"),
    ("env=acrobot", "env.max_episode_steps=90"), ("checkpoint.unit=episodes", "checkpoint.interval=3"),
], ids=",".join)  # fmt: skip
@pytest.mark.parametrize("rollouts", [ROLLOUTS, ROLLOUTS[::-1]], ids=",".join)
def test_a_run_of_one_rollout_is_continued_by_the_other(train, cli, stop, overrides, rollouts):
    first, second = rollouts
    train("whole", first, "env.implementation=compiled", *overrides)
    stop(4)
    train("stopped", first, "env.implementation=compiled", *overrides, code=143)
    stop(-1)
    outcome = cli("resume", "stopped", second)
    assert outcome.code == 0, outcome.err
    assert results("stopped") == results("whole")
    assert read_record(Path("stopped"))["rollout"]["name"] == second.partition("=")[2]
    assert cli("verify", "stopped").code == 0


def test_an_older_run_continues_in_gymnasiums_environment(train, cli, stop):
    """The configuration of an older run has no `env.implementation`."""
    train("whole", "env.implementation=gymnasium")
    stop(3)
    train("run", "env.implementation=gymnasium", code=143)
    stop(-1)
    record = json.loads(Path("run/run.json").read_text())
    del record["config"]["env"]["implementation"]
    Path("run/run.json").write_text(json.dumps(record))
    outcome = cli("resume", "run")
    assert outcome.code == 0, outcome.err
    assert results("run") == results("whole")


def kill(directory, num_states):
    """Changes a finished run to one that was killed some rows after its last checkpoint."""
    for path in states(directory)[num_states:]:
        path.unlink()
    record = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps({**record, "status": "running"}))


@pytest.mark.parametrize("num_states", [1, 2, 4])
def test_rows_after_the_checkpoint_are_cut_and_written_again(train, cli, tmp_path, num_states):
    train("run", "checkpoint.keep=9")
    expected = results("run")
    kill(tmp_path / "run", num_states)
    assert read_record(tmp_path / "run")["status"] == "interrupted"
    assert load_configs(tmp_path / "run")["status"].tolist() == ["interrupted"]
    assert cli("resume", "run").code == 0
    assert results("run") == expected


def test_a_damaged_checkpoint_is_skipped_with_a_warning(train, cli, tmp_path):
    train("run", "checkpoint.keep=9")
    expected = results("run")
    kill(tmp_path / "run", 3)
    newest = states("run")[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    outcome = cli("resume", "run")
    assert outcome.code == 0
    assert f"{newest.name}: damaged, or not a file of dqn_lab; trying the checkpoint before it" in outcome.err
    assert results("run") == expected


@pytest.mark.parametrize("steps", [450, 700])
def test_a_completed_run_can_be_made_longer(train, cli, steps):
    """At the end of the first budget the final evaluation replaced the one that was due."""
    train("run", "evaluation.interval=200")
    train("long", "evaluation.interval=200", f"steps={steps}")
    assert cli("resume", "run", f"steps={steps}").code == 0
    assert results("run") == results("long")
    assert read_record(Path("run"))["config"]["steps"] == steps
    (command,) = load_configs("run")["command"]
    assert command.endswith(f" resume run steps={steps}")
    assert command.count(" && ") == 1
    assert read_record(Path("run"))["scores"] == read_record(Path("long"))["scores"]


def test_a_run_that_was_made_longer_keeps_its_engine_and_is_verified_with_it(train, cli, monkeypatch):
    monkeypatch.setitem(auto.CANDIDATES, "fused", lambda config: "for long runs" if config["steps"] < 500 else None)
    train("run")
    assert cli("resume", "run", "steps=700").code == 0
    assert read_record(Path("run"))["engine"]["name"] == "torch"
    assert cli("verify", "run").code == 0
    assert open_policy(Path("run"), "final", trust=False).experiment.choices["engine"].name == "torch"
    train("long", "steps=700")
    assert read_record(Path("long"))["engine"]["name"] == "fused"


@pytest.fixture
def fussy(tmp_path, monkeypatch):
    """Returns a directory with a logger whose `open` raises if the file `broken` exists."""
    lab = tmp_path / "lab"
    (lab / "logger").mkdir(parents=True)
    (lab / "fussy.py").write_text(
        "import pathlib\n\n\nclass Fussy:\n    def open(self, *_):\n        if pathlib.Path('broken').exists():\n"
        "            raise RuntimeError('no server')\n\n    def write(self, table, row): ...\n\n"
        "    def close(self, status, summary): ...\n\n    def info(self):\n        return {}\n"
    )
    (lab / "logger" / "fussy.yaml").write_text("# @package logger.fussy\nname: fussy:Fussy\n")
    yield lab
    sys.modules.pop("fussy", None)


def contents(directory):
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*")
            if path.is_file() and path.name not in ("train.log", ".lock")}  # fmt: skip


@pytest.mark.parametrize("loggers", ["[csv,fussy]", "[fussy,csv]", "[csv,tensorboard,fussy]"])
def test_a_start_that_fails_leaves_a_completed_run_as_it_was(train, cli, fussy, tmp_path, loggers):
    """One logger's `open` fails, before or after another's has succeeded."""
    warned = train("run", "--config-dir", str(fussy), f"logger={loggers}").err
    assert "warning: logger=fussy: has no `position` and `resume`, so a resumed run starts it from scratch" in warned
    before = contents(tmp_path / "run")
    Path("broken").touch()
    outcome = cli("resume", "run", "steps=500", "--trust")
    assert outcome.code == 1
    assert outcome.problems == [
        "error: logger=fussy: open raised RuntimeError: no server (raised in fussy.py, line 7); "
        "the traceback is in train.log; the run is unchanged, and can be resumed with another logger; run"
    ]
    assert "no server" in Path("run", "train.log").read_text()
    assert contents(tmp_path / "run") == before
    assert cli("resume", "run", "steps=500", "--trust", "logger=csv").code == 0
    train("long", "steps=500")
    assert results("run") == results("long")


def test_a_logger_that_was_turned_off_is_not_turned_on_again_over_its_old_files(train, cli):
    train("run")
    assert cli("resume", "run", "steps=500", "logger=tensorboard").code == 0
    outcome = cli("resume", "run", "steps=600", "logger=csv")
    assert outcome.code == 1
    assert [line.replace(str(Path.cwd()), ".") for line in outcome.problems] == [
        "error: ./run/episodes.csv: exists, and no checkpoint says which of its rows to keep; move it away; "
        "the run is unchanged, and can be resumed with another logger; run"
    ]
    Path("run/old").mkdir()
    for path in Path("run").glob("*.csv"):
        path.rename(Path("run/old") / path.name)
    assert cli("resume", "run", "steps=600", "logger=csv").code == 0
    assert Path("run/episodes.csv").stat().st_size


def test_an_extended_run_keeps_its_earlier_scores_and_final_policy(train, cli, stop):
    """`run.json` keeps its scores, and its final policy is kept under its step."""
    train("run", "evaluation.interval=null")
    scores = read_record(Path("run"))["scores"]
    policy = load_file("run/checkpoint/final.safetensors")
    stop(2)
    assert cli("resume", "run", "steps=700").code == 143
    record = read_record(Path("run"))
    assert (record["status"], record["resumed"][0]["scores"]) == ("interrupted", scores)
    kept = load_file("run/checkpoint/step_400.safetensors")
    assert all((kept[name] == policy[name]).all() for name in policy if name.startswith("network"))


def test_a_run_killed_between_its_record_and_its_first_row_can_be_resumed(train, cli, monkeypatch):
    """No rows were cut yet; the next attempt cuts those after the checkpoint."""
    train("run")
    before = results("run")
    with monkeypatch.context() as patch:
        patch.setattr(Scoring, "in_the_beginning", lambda self: 1 / 0)
        patch.setattr(Run, "_close", lambda self, status: (self.logs.close(status, {}), self.claim.release()))
        assert cli("resume", "run", "steps=700").code == 1
    assert results("run") == before
    assert read_record(Path("run"))["status"] == "interrupted"
    assert cli("resume", "run", "steps=700").code == 0
    train("long", "steps=700")
    assert results("run") == results("long")


def test_overrides_that_do_not_change_the_past_are_allowed(train, cli, stop):
    train("whole")
    stop(3)
    train("run", code=143)
    stop(-1)
    words = ("evaluation.num_episodes=1", "checkpoint.interval=50", "display=lines", "logger=[csv,tensorboard]")
    assert cli("resume", "run", *words).code == 0
    assert results("run")["episodes"] == results("whole")["episodes"]
    assert list(Path("run/tensorboard").iterdir())


def test_tensorboard_shows_no_point_twice(train, cli, tmp_path):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train("run", "logger=[csv,tensorboard]", "checkpoint.keep=9")
    kill(tmp_path / "run", 2)
    assert cli("resume", "run").code == 0
    events = accumulators.EventAccumulator("run/tensorboard")
    events.Reload()
    with Path("run/episodes.csv").open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file)]
    assert [event.step for event in events.Scalars("episodes/return")] == steps


def make_two_runs(train, cli, stop):
    stop(3)
    train("run", code=143)
    stop(-1)
    train("done", "checkpoint.interval=null")


@pytest.mark.parametrize("words", [["logger.wandb.project=x"], ["logger.wandb.project=x", "logger.wandb.mode=offline"]])
def test_a_key_of_a_logger_that_the_run_does_not_have_is_refused(train, cli, words):
    train("run")
    outcome = cli("resume", "run", "steps=500", *words)
    said = [f"error: {word}: the run has no such logger; write logger=[csv,wandb] too" for word in words]
    assert (outcome.code, outcome.problems) == (2, said)
    assert read_record(Path("run"))["status"] == "completed"
    assert cli("resume", "run", "steps=500", "logger=[csv,wandb]", "logger.wandb.mode=disabled", *words[:1]).code == 0
    assert read_record(Path("run"))["config"]["logger"]["wandb"]["project"] == "x"
    assert cli("resume", "run", "steps=600", "logger.wandb.project=y").code == 0
    assert cli("resume", "run", "steps=700", "+logger.tensorboard={name: tensorboard}").code == 0


@pytest.mark.parametrize(("words", "said"), [
    (["nowhere"], "nowhere: no such directory"),
    (["run", "optimizer.lr=1"], "optimizer.lr=1: would change what the run has already done; these may change: "
                                "episodes, steps, evaluation, logger, checkpoint, display"),
    (["run", "seed=3"], "seed=3: would change what the run has already done"),
    (["run", "steps=10"], "run: is at episode"),
    (["./run/", "episodes=1"], "run: is at episode"),
    (["run", "steps=-1"], "steps=-1: must be greater than 0"),
    (["run", "stesp=10"], "stesp=10: no such key; did you mean steps?"),
    (["run", "n_step=3"], "n_step=3: no such key; did you mean buffer.n_step?"),
    (["done"], "done: is completed; a larger steps=… or episodes=… extends it"),
    (["done", "steps=500"], "done: has no checkpoint to continue from; train again with the new budget"),
])  # fmt: skip
def test_what_cannot_be_resumed_says_why_in_one_line(train, cli, stop, words, said):
    make_two_runs(train, cli, stop)
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    outcome = cli("resume", *words)
    assert (outcome.code, len(outcome.problems)) == (2, 1), outcome.err
    assert outcome.problems[0].startswith(f"error: {said}")
    after = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    assert after.keys() - {Path("run/train.log")} <= before.keys()
    assert all(after[path] == content for path, content in before.items() if path.name != "train.log")


def test_an_extension_that_another_limit_prevents_is_refused(train, cli):
    train("run")
    outcome = cli("resume", "run", "episodes=9_000")
    said = "error: run: has reached steps=400, which ends it; raise this limit too, or add steps=null"
    assert (outcome.code, outcome.problems) == (2, [said])


def test_a_run_that_died_before_its_first_checkpoint_starts_over(train, cli, stop, tmp_path):
    """It starts over from its recorded configuration, writes the same bytes and warns in one line."""
    train("whole")
    stop(3)
    train("run", code=143)
    stop(-1)
    kill(tmp_path / "run", 0)
    command = json.loads(Path("run/run.json").read_text())["command"]
    said = "error: run: was interrupted and has no policy; `python -m dqn_lab resume run` continues it\n"
    for path in Path("run/checkpoint").glob("*"):
        path.unlink()
    assert {cli(name, "run").err for name in ("evaluate", "play", "inspect", "record")} == {said}
    outcome = cli("resume", "run")
    assert outcome.code == 0, outcome.err
    assert outcome.err == (
        "warning: run: stopped before its first checkpoint, so it starts over; run.attempt1 holds its old files\n"
    )
    assert results("run") == results("whole")
    assert read_record(Path("run"))["command"] == command
    assert not cli("evaluate", "run", "--episodes", "1").code


def test_two_processes_cannot_train_one_directory(train, cli, stop, tmp_path):
    stop(3)
    train("run", code=143)
    stop(-1)
    claim = Claim(tmp_path / "run", "")
    outcome = cli("resume", "run")
    assert outcome.problems == [f"error: {tmp_path}/run: another process is training there"]
    claim.release()
    assert cli("resume", "run").code == 0


def test_a_checkpoint_of_another_run_is_refused(train, cli, stop):
    stop(3)
    train("run", code=143)
    stop(3)
    train("other", "optimizer.lr=0.01", code=143)
    stop(-1)
    shutil.rmtree("run/checkpoint")
    shutil.copytree("other/checkpoint", "run/checkpoint")
    outcome = cli("resume", "run")
    assert outcome.code == 2
    assert (
        "has no checkpoint that can be loaded: the checkpoint belongs to another configuration" in outcome.problems[0]
    )


@pytest.mark.parametrize("interval", ["null", "100"])
def test_checkpoints_change_no_result(train, interval):
    train("seldom")
    train("other", f"checkpoint.interval={interval}", "checkpoint.unit=episodes")
    assert results("seldom") == results("other")
    assert (states("other") == []) == (interval == "null")


def test_a_verified_run_is_equal_or_says_where_it_differs(train, cli):
    train("run")
    outcome = cli("verify", "run")
    assert outcome.code == 0
    assert re.search(
        r"^verified: \d+ rows of episodes.csv and \d+ rows? of evaluations.csv are the same, byte",
        outcome.out,
        re.MULTILINE,
    )
    path = Path("run/episodes.csv")
    lines = path.read_text().splitlines()
    cells = lines[3].split(",")
    cells[2] = "999.0"
    path.write_text("\n".join([*lines[:3], ",".join(cells), *lines[4:], ""]))
    record = json.loads(Path("run/run.json").read_text())
    Path("run/run.json").write_text(json.dumps({**record, "versions": {**record["versions"], "torch": "1.0"}}))
    outcome = cli("verify", "run")
    assert outcome.code == 1
    assert "not verified: repeating the run gave different results\n" in outcome.out
    assert f"  episodes.csv: differs from row 3 on: return was 999.0, is {float(lines[3].split(',')[2])}" in outcome.out
    assert "  torch was 1.0, is " in outcome.out
    path.write_text("\n".join([*lines[:3], ""]))
    assert f"episodes.csv: 2 rows recorded, {len(lines) - 1} now" in cli("verify", "run").out


def test_the_final_policy_alone_can_be_verified(train, cli):
    train("run")
    outcome = cli("verify", "run", "--evaluate")
    assert outcome.code == 0
    assert outcome.out.startswith("verified: the final policy's mean return is the same, ")
    record = json.loads(Path("run/run.json").read_text())
    record["scores"]["final"]["return_mean"] += 1
    Path("run/run.json").write_text(json.dumps(record))
    outcome = cli("verify", "run", "--evaluate")
    assert outcome.code == 1
    assert "return_mean of the final policy: " in outcome.out


@pytest.mark.parametrize("engine", [None, {}, {"name": "fused"}])
def test_a_record_without_its_engine_and_scores_is_verified_and_continued(train, cli, engine):
    train("run", "engine=fused")
    train("long", "engine=fused", "steps=500")
    record = json.loads(Path("run/run.json").read_text())
    Path("run/run.json").write_text(json.dumps({**record, "engine": engine, "scores": None}))
    outcome = cli("verify", "run")
    assert (outcome.code, outcome.err) == (0, "")
    outcome = cli("verify", "run", "--evaluate")
    assert outcome.problems == ["error: run: its run.json has no score of the final policy to compare with"]
    assert outcome.code == 2
    outcome = cli("resume", "run", "steps=500")
    assert (outcome.code, outcome.err) == (0, "")
    assert results("run") == results("long")


def test_a_record_that_names_another_engine_says_so_if_the_results_differ(train, cli):
    train("run", "engine=fused")
    record = json.loads(Path("run/run.json").read_text())
    Path("run/run.json").write_text(json.dumps({**record, "engine": None}))
    Path("run/episodes.csv").write_text("episode\n")
    assert "the engine was None, is fused here" in cli("verify", "run").out
    Path("run/run.json").write_text(json.dumps(record))
    assert "the engine was" not in cli("verify", "run").out


def test_a_score_without_all_its_numbers_is_not_verified(train, cli):
    train("run")
    record = json.loads(Path("run/run.json").read_text())
    Path("run/run.json").write_text(json.dumps({**record, "scores": {"final": {"return_mean": 1.0}}}))
    outcome = cli("verify", "run", "--evaluate")
    assert (outcome.code, outcome.err) == (1, "")
    assert "episodes of the final policy: None is recorded, now it is 3" in outcome.out


def test_verify_accepts_display_and_no_other_override(train, cli):
    train("run")
    assert len(cli("verify", "run", "display=none").out.splitlines()) == 1
    assert len(cli("verify", "run", "display=lines").out.splitlines()) > 1
    outcome = cli("verify", "run", "steps=9")
    assert outcome.code == 2
    assert outcome.problems == ["error: steps=9: verify repeats a run with its own settings; only display=… can be set"]
    for words in ([], ["--evaluate"]):
        problem = "error: display=loud: no such choice; choices: auto, bar, lines, notebook, none"
        assert cli("verify", "run", *words, "display=loud").problems == [problem]


def test_only_a_completed_run_is_verified(train, cli, stop):
    stop(3)
    train("run", code=143)
    stop(-1)
    outcome = cli("verify", "run")
    assert outcome.problems == ["error: run: is interrupted; only a completed run can be verified"]
    assert outcome.code == 2
