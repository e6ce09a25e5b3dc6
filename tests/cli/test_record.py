"""`record`, `play` and videos of training: they show the evaluated episodes and change no result."""

import errno
import itertools
import json
from pathlib import Path

import av
import gymnasium
import numpy as np
import pytest
from PIL import Image

from dqn_lab.cli._outcome import one_line_errors, writing
from dqn_lab.evaluate import evaluate


def num_frames(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


class Dark(gymnasium.Env):
    observation_space, action_space = gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 1.0, True, False, {}


gymnasium.register("Dark-v0", Dark)
QUICK = ("logger=csv", "display=none", "steps=300", "episodes=null", "evaluation.interval=100", "evaluation.unit=steps",
         "evaluation.num_episodes=2", "evaluation.final_num_episodes=2", "train.learning_starts=64")  # fmt: skip


def test_filming_and_keeping_policies_change_no_byte(cli, tmp_path):
    """`evaluation.video` and `evaluation.keep_policies` leave both tables as they are."""
    cli("train", *QUICK, f"hydra.run.dir={tmp_path}/plain")
    seen = cli("train", *QUICK, "evaluation.video=true", "evaluation.keep_policies=2", f"hydra.run.dir={tmp_path}/seen")
    assert seen.code == 0, seen.err
    for table in ("episodes.csv", "evaluations.csv"):
        assert (tmp_path / "plain" / table).read_bytes() == (tmp_path / "seen" / table).read_bytes()
    assert not (tmp_path / "plain" / "videos").exists()
    videos = {path.name for path in (tmp_path / "seen" / "videos").iterdir()}
    assert videos == {"step_100.mp4", "step_200.mp4", "final.mp4"}
    kept = {path.stem for path in (tmp_path / "seen" / "checkpoint").glob("step_*")}
    assert kept == {"step_0", "step_200"}
    outcome = cli("evaluate", f"{tmp_path}/seen", "--policy", "step_200", "--episodes", "1")
    assert "step_200 policy (step 200), greedy: 9.00 ± 0.00 (standard deviation over 1 episode)" in outcome.out
    outcome = cli("evaluate", f"{tmp_path}/seen", "--policy", "step_100")
    assert outcome.err.startswith(
        f"error: --policy=step_100: {tmp_path}/seen has no such policy; did you mean step_200"
    )


def test_the_video_of_an_evaluation_shows_its_first_episode(cli, tmp_path):
    from dqn_lab.cli._policy import open_policy
    from dqn_lab.seeding import Streams

    cli("train", *QUICK, "evaluation.video=true", f"hydra.run.dir={tmp_path}/run")
    policy = open_policy(tmp_path / "run", "final", False)
    rng = Streams(policy.config["seed"])("evaluation final")
    first = next(evaluate(policy.experiment.agent.greedy, policy.experiment.make_env, rng, 2))
    assert num_frames(tmp_path / "run" / "videos" / "final.mp4") == first.length + 1


def test_a_run_that_cannot_be_filmed_does_not_begin(cli, tmp_path, monkeypatch):
    outcome = cli("train", *QUICK, "evaluation.video=true", "env.id=Dark-v0", "hydra.run.dir=dark")
    assert outcome.code == 2
    assert outcome.problems == [
        "error: evaluation.video=true: this environment has no render_mode rgb_array: it does not draw itself; "
        "one that does has rgb_array in metadata['render_modes'], and a render method"
    ]
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    outcome = cli("train", *QUICK, "evaluation.video=true", "hydra.run.dir=dark")
    assert outcome.code == 2
    assert 'pip install "dqn-lab[video]"' in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_default_video_settings_do_not_change_a_jobs_identity(configure):
    from dqn_lab.records import identity

    plain = configure()
    older = {
        **plain,
        "evaluation": {k: v for k, v in plain["evaluation"].items() if k not in ("video", "keep_policies")},
    }
    assert identity(older) == identity(plain)
    assert identity(configure("evaluation.keep_policies=true")) != identity(plain)


def test_a_recorded_episode_is_the_one_that_evaluate_plays(cli, tmp_path):
    """Compares returns, lengths and frame counts, of one episode and of three."""
    cli("train", *QUICK, "hydra.run.dir=run")
    cli("evaluate", "run", "--episodes", "3", "--seed", "7", "--csv", "rows.csv")
    rows = (tmp_path / "rows.csv").read_text().splitlines()[1:]
    lengths = [int(row.split(",")[3]) for row in rows]
    outcome = cli("record", "run", "--seed", "7")
    assert outcome.code == 0, outcome.err
    assert f"return {lengths[0]}, {lengths[0]} steps" in outcome.out
    assert num_frames(tmp_path / "run" / "videos" / "final.mp4") == lengths[0] + 1
    outcome = cli("record", "run", "--seed", "7", "--episodes", "3", "--out", "three.mp4")
    assert num_frames(tmp_path / "three.mp4") == sum(lengths) + 3
    assert [f"return {length}, {length} steps" in outcome.out for length in lengths] == [True] * 3
    cli("record", "run", "--seed", "7", "--episodes", "3", "--grid", "--out", "grid.mp4")
    assert num_frames(tmp_path / "grid.mp4") == max(lengths) + 1


def test_a_grid_of_one_run_goes_from_before_training_to_after(cli, tmp_path):
    cli("train", *QUICK, "evaluation.keep_policies=true", "hydra.run.dir=run")
    outcome = cli("record", "run", "--grid", "--gif")
    assert [line.partition(":")[0] for line in outcome.out.splitlines()[:-1]] == [
        "before training", "after 100 steps", "after 300 steps, trained",
    ]  # fmt: skip
    with Image.open(tmp_path / "run" / "videos" / "final-grid.gif") as image:
        assert image.size[0] == 1200


def test_a_grid_of_runs_is_labelled_with_their_differences(cli, tmp_path):
    cli("train", "-m", *QUICK, "seed=1,2", "target.interval=5,9", "hydra.sweep.dir=sweep")
    outcome = cli("record", "sweep", "--grid")
    labels = [line.partition(":")[0] for line in outcome.out.splitlines()[:-1]]
    assert sorted(labels) == [f"target.interval={n}  seed={s}" for n, s in itertools.product((5, 9), (1, 2))]
    assert (tmp_path / "final-grid.mp4").is_file()


def test_what_cannot_be_filmed_is_refused_in_one_line(cli, tmp_path):
    cli("train", *QUICK, "hydra.run.dir=run")
    cli("train", *QUICK, "env.id=Dark-v0", "hydra.run.dir=dark")
    cli("train", *QUICK, "env=acrobot", "hydra.run.dir=other")
    (tmp_path / "there.mp4").touch()
    (tmp_path / "file").touch()
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "run.json").write_text(json.dumps(record))
    before = sorted(tmp_path.rglob("*"))
    for words, problem in {
        ("run", "--grid"): "run: saved no policies during training",
        ("run", "other"): "2 runs: --grid shows several side by side",
        ("run", "other", "--grid"): "different tasks: CartPole-v1, Acrobot-v1; name runs of one task",
        ("dark",): "this environment has no render_mode rgb_array: it does not draw itself",
        ("nothing",): "nothing: no such directory",
        ("empty",): "empty: has no policy",
        ("run", "--policy", "finall"): "--policy=finall: run has no such policy; did you mean final",
        ("run", "--out", "there.mp4"): "--out there.mp4: exists already",
        ("run", "--out", "a.avi"): "a film's name must end in .mp4 or .gif, not in .avi",
        ("run", "--out", "file/a.mp4"): "file/a.mp4: cannot be written: ",
        ("run", "--out", "a.mp4", "--gif"): "--gif, --out a.mp4: must end in .gif",
        ("run", "--episodes", "0"): "argument --episodes: 0: must be at least 1",
        ("run", "--grid", "--episodes", "17"): "--episodes 17: at most 16 fit side by side",
        ("run", "run", "other", "--grid", "--episodes", "2"): "--episodes 2: a grid of several runs shows one episode",
        ("run", "--tiles", "4"): "--tiles 4: only a grid of one run's policies has a number of tiles",
        ("run", "--grid", "--policy", "best"): "--policy best: a grid of one run shows policies from before training",
    }.items():
        outcome = cli("record", *words)
        assert outcome.code == 2, words
        assert outcome.err.startswith(f"error: {problem}"), outcome.err
        assert len(outcome.err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_play_shows_episodes_in_a_window(cli, monkeypatch):
    """SDL's dummy driver opens no visible window."""
    pygame = pytest.importorskip("pygame")
    cli("train", *QUICK, "hydra.run.dir=run")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    shown = []
    monkeypatch.setattr(pygame.display, "flip", lambda: shown.append(pygame.display.get_surface().get_size()))
    outcome = cli("play", "run", "--episodes", "2", "--fps", "1000000")
    assert outcome.code == 0, outcome.err
    lengths = [int(line.split(", ")[1].split()[0]) for line in outcome.out.splitlines()]
    assert len(shown) == sum(lengths) + 2
    assert set(shown) == {(600, 429)}


def test_closing_the_window_ends_play(cli, monkeypatch):
    pygame = pytest.importorskip("pygame")
    cli("train", *QUICK, "hydra.run.dir=run")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr(pygame.event, "get", lambda: [pygame.event.Event(pygame.QUIT)])
    outcome = cli("play", "run")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_play_without_a_display_names_record(cli, monkeypatch):
    cli("train", *QUICK, "hydra.run.dir=run")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    outcome = cli("play", "run")
    assert outcome.code == 2
    assert outcome.err == ("error: no display for a window; to record a video instead: python -m dqn_lab record run\n")


def test_play_prints_toy_text_as_text(cli):
    table = ("env=frozen_lake", "network=table", "buffer=none", "target=none", "optimizer=sgd")
    cli("train", *QUICK, *table, "hydra.run.dir=lake")
    outcome = cli("play", "lake")
    assert outcome.code == 0, outcome.err
    assert "SFFF\nFHFH\nFFFH\nHFFG" in outcome.out.replace("\x1b[41m", "").replace("\x1b[0m", "")
    assert "return 0   step 0" in outcome.out


def test_a_report_shows_the_median_run_of_each_variant(cli, tmp_path):
    """The page embeds each video and names its run's seed."""
    import base64
    import re

    cli("train", "-m", *QUICK, "seed=1,2,3", "bootstrap=max,double", "hydra.sweep.dir=sweep")
    assert "<video" not in (cli("report", "sweep") and (tmp_path / "sweep" / "report" / "index.html").read_text())
    outcome = cli("report", "sweep", "--videos")
    assert outcome.code == 0, outcome.err
    page = (tmp_path / "sweep" / "report" / "index.html").read_text()
    films = re.findall(r'<video[^>]*src="data:video/mp4;base64,([^"]+)"', page)
    assert len(films) == 2
    finals = {}
    for path in (tmp_path / "sweep").glob("*/run.json"):
        record = json.loads(path.read_text())
        own = (record["scores"]["final"]["return_mean"], record["config"]["seed"])
        finals.setdefault(record["config"]["bootstrap"]["name"], []).append(own)
    for runs in finals.values():
        assert f"seed {sorted(runs)[1][1]}, the median of 3 seeds by " in page
    (tmp_path / "clip.mp4").write_bytes(base64.b64decode(films[0]))
    assert 1 < num_frames(tmp_path / "clip.mp4") <= 500


def test_a_report_of_runs_that_cannot_be_filmed_is_not_written(cli, tmp_path):
    cli("train", "-m", *QUICK, "seed=1,2", "env.id=Dark-v0", "hydra.sweep.dir=dark")
    outcome = cli("report", "dark", "--videos")
    assert outcome.code == 2
    assert outcome.err.startswith("error: --videos: this environment has no render_mode rgb_array")
    assert not (tmp_path / "dark" / "report").exists()


@pytest.mark.parametrize(("path", "line", "code"), [
    (None, "a/film.mp4: cannot be written: No space left on device", 2),
    ("a/.film.mp4.part", "a/film.mp4: cannot be written: No space left on device", 2),
    ("run/run.json", "run/run.json: No space left on device", 1),
])  # fmt: skip
def test_a_full_disk_error_names_the_file_that_failed(capsys, path, line, code):
    @one_line_errors
    def main():
        with writing(Path("a/film.mp4")):
            raise OSError(errno.ENOSPC, "No space left on device", path)

    assert main() == code
    assert capsys.readouterr().err == f"error: {line}\n"
