"""Custom components, without changes to the package: from a directory, and from an installed package."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
QUICK = ("episodes=6", "evaluation.num_episodes=2", "evaluation.final_num_episodes=2", "logger=csv")


def dqn_lab(*words, cwd, path=""):
    places = [str(path), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    command = [sys.executable, "-m", "dqn_lab", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def directory_run(tmp_path_factory):
    """Trains with a custom network and buffer; returns the working directory."""
    root = tmp_path_factory.mktemp("directory")
    shutil.copytree(HERE / "my_lab", root / "my_lab")
    words = ("network=residual", "network.width=16", "buffer=recent", "buffer.emphasis=3", "hydra.run.dir=run")
    done = dqn_lab("train", "--config-dir", "my_lab", *words, *QUICK, cwd=root)
    assert done.returncode == 0, done.stderr
    return root


def test_a_directory_adds_a_network_and_a_buffer(directory_run):
    config = json.loads((directory_run / "run" / "run.json").read_text())["config"]
    assert config["network"] == {"name": "my_parts:Residual", "width": 16}
    assert config["buffer"] == {"name": "my_parts:Recent", "capacity": 10_000, "emphasis": 3.0}


def test_a_custom_component_may_add_a_column(directory_run):
    with (directory_run / "run" / "episodes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["fill"]) for row in rows] == [int(row["step"]) / 10_000 for row in rows]


def test_a_yaml_may_leave_out_keys_of_the_constructor(directory_run):
    (directory_run / "my_lab" / "buffer" / "short.yaml").write_text("name: my_parts:Recent\nemphasis: 3\n")
    words = ("buffer=short", "buffer.capacity=90,100", "hydra.sweep.dir=left_out", "hydra/launcher=basic")
    done = dqn_lab("train", "-m", "--config-dir", "my_lab", *words, *QUICK, cwd=directory_run)
    assert done.returncode == 0, done.stderr
    configs = [json.loads(path.read_text())["config"] for path in (directory_run / "left_out").glob("*/run.json")]
    assert sorted(config["buffer"]["capacity"] for config in configs) == [90, 100]
    wrong = dqn_lab("train", "--config-dir", "my_lab", "buffer=short", "buffer.capacty=9", cwd=directory_run).stderr
    assert wrong.startswith("error: buffer.capacty=9: no such key; did you mean capacity?")


@pytest.mark.parametrize("place", ["network/wide.yml", "networks/wide.yaml", "wide.yaml"])
def test_a_misplaced_yaml_is_named(tmp_path, place):
    path = tmp_path / "lab" / place
    path.parent.mkdir(parents=True)
    path.write_text("name: my_parts:Residual\n")
    said = dqn_lab("train", "--config-dir", "lab", "network=wide", cwd=tmp_path).stderr
    assert said.endswith(f"network=wide: no such option; {path} must be network/wide.yaml there\n")


def test_a_bootstrap_an_exploration_and_a_logger_are_used(directory_run):
    words = ("bootstrap=softmax", "exploration=unsure", "exploration.duration=20", "logger=[csv,json]")
    done = dqn_lab("train", "--config-dir", "my_lab", *words, "hydra.run.dir=three", *QUICK[:-1], cwd=directory_run)
    assert done.returncode == 0, done.stderr
    with (directory_run / "three" / "episodes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["margin"]) == 1.0
    assert float(rows[-1]["margin"]) == 0.0
    lines = [json.loads(line) for line in (directory_run / "three" / "rows.json").read_text().splitlines()]
    assert [line["return"] for line in lines if line["table"] == "episodes"] == [float(row["return"]) for row in rows]
    assert json.loads((directory_run / "three" / "run.json").read_text())["rows"] == "rows.json"


def test_a_value_and_diagnostics_are_used(directory_run):
    words = ("value=log_cosh", "diagnostics=largest", "hydra.run.dir=measured", *QUICK)
    done = dqn_lab("train", "--config-dir", "my_lab", *words, cwd=directory_run)
    assert (done.returncode, done.stderr.count("warning")) == (0, 0), done.stderr
    with (directory_run / "measured" / "episodes.csv").open(newline="") as file:
        largest = [float(row["q_largest"]) for row in csv.DictReader(file)]
    assert largest == sorted(largest)
    assert largest[-1] > 0


def test_the_loggers_rows_are_the_same_when_a_run_is_resumed(directory_run):
    rows = []
    for name, episodes in (("short", 4), ("long", 8)):
        words = ("logger=json", *QUICK[1:-1], f"episodes={episodes}", f"hydra.run.dir={name}")
        assert dqn_lab("train", "--config-dir", "my_lab", *words, cwd=directory_run).stderr.count("warning") == 0
        if name == "short":
            assert dqn_lab("resume", name, "episodes=8", "--trust", cwd=directory_run).returncode == 0
        lines = [json.loads(line) for line in (directory_run / name / "rows.json").read_text().splitlines()]
        rows.append([line for line in lines if line["table"] != "timing"])
    assert rows[0] == rows[1]


def test_the_types_that_a_component_needs_are_printed_with_its_contract(directory_run):
    groups = ("bootstrap", "exploration", "logger")
    shown = {group: dqn_lab("components", group, cwd=directory_run).stdout for group in groups}
    for line in ("target_next: Tensor  # [B, A]", "Bootstrapped: A bootstrap's", "bonus: Tensor  # [B], added to the"):
        assert line in shown["bootstrap"]
    assert "Draw = Callable[[], float]  # draws the next uniform number" in shown["exploration"]
    assert "updates: int" in shown["exploration"]
    assert "Row = Mapping[str, float | int | None]" in shown["logger"]
    assert 'Table = Literal["episodes", "evaluations", "timing"]' in shown["logger"]


def test_a_network_that_ignores_its_generator_is_still_reproducible(directory_run):
    again = dqn_lab(
        "train", "--config-dir", "my_lab", "network=residual", "network.width=16", "buffer=recent",
        "buffer.emphasis=3", "hydra.run.dir=again", *QUICK, cwd=directory_run,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    first, second = ((directory_run / run / "episodes.csv").read_bytes() for run in ("run", "again"))
    assert first == second


def test_a_run_with_custom_code_is_evaluated_only_if_trusted(directory_run):
    refused = dqn_lab("evaluate", "run", "--episodes", 2, cwd=directory_run)
    assert refused.returncode == 2
    assert "my_parts:Recent, my_parts:Residual" in refused.stderr
    trusted = dqn_lab("evaluate", "run", "--episodes", 2, "--trust", cwd=directory_run)
    assert trusted.returncode == 0, trusted.stderr
    assert "over 2 episodes" in trusted.stdout


def test_components_lists_the_components_of_a_directory(directory_run):
    shown = dqn_lab("components", "network", "--config-dir", "my_lab", cwd=directory_run).stdout
    assert "my_parts:Residual: One hidden layer" in shown
    assert "network.width: integer > 0; default 32" in shown


def test_a_mistake_in_a_custom_component_is_one_line(directory_run):
    done = dqn_lab("train", "--config-dir", "my_lab", "network=residual", "network.width=0", cwd=directory_run)
    assert (done.returncode, done.stderr) == (2, "error: network.width=0: must be greater than 0\n")


@pytest.mark.parametrize(("body", "message"), [
    ("class Net(nn.Module):\n    def __init__(self, o, a, k, g):\n        super().__init__()\n"
     "    def forward(self, obs): return obs.new_zeros(len(obs), 3)", "returns outputs of shape (1, 3)"),
    ("class Net(nn.Sequential):\n    def __init__(self, o, a, k, g):\n"
     "        super().__init__(nn.Linear(4, 2), nn.Dropout(), nn.Unflatten(1, (2, 1)))", "has Dropout"),
    ("class Net:\n    def __init__(self, o, a, k, g): ...", "must be a torch.nn.Module"),
    ("class Net(nn.Module):\n    def __init__(self, o, a, k, g): raise RuntimeError('a\\nb')", "RuntimeError: a b"),
])  # fmt: skip
def test_an_invalid_network_is_refused_in_one_line(tmp_path, body, message):
    (tmp_path / "network").mkdir()
    (tmp_path / "network" / "net.yaml").write_text("name: my_net:Net\n")
    (tmp_path / "my_net.py").write_text(f"from torch import nn\n\n{body}\n")
    done = dqn_lab("train", "--config-dir", ".", "network=net", *QUICK, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: network=my_net:Net: {message}")


def test_a_custom_environment_is_solved(directory_run):
    """Leaving five rooms takes four steps: a return of 10 − 3."""
    words = ("env=corridor", "env.kwargs.rooms=5", "steps=3000", "episodes=null", "hydra.run.dir=corridor")
    done = dqn_lab("train", "--config-dir", "my_lab", *words, *QUICK[1:], cwd=directory_run)
    assert done.returncode == 0, done.stderr
    record = json.loads((directory_run / "corridor" / "run.json").read_text())
    assert record["engine"]["name"] == "fused"
    assert record["scores"]["final"]["return_mean"] == 7.0


def test_an_installed_package_adds_a_buffer_and_its_configuration(tmp_path):
    shutil.copytree(HERE / "recent_plugin", tmp_path / "source")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", tmp_path / "site", tmp_path / "source"], check=True, capture_output=True)
    done = dqn_lab("train", "buffer=newest", "hydra.run.dir=run", *QUICK, cwd=tmp_path, path=tmp_path / "site")
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert config["buffer"] == {"name": "newest", "capacity": 100}
    assert "newest: Uniform replay over few" in dqn_lab(
        "components", "buffer", cwd=tmp_path, path=tmp_path / "site"
    ).stdout  # fmt: skip


BROKEN = {
    "bootstrap": ("class Mine:\n    def __call__(self, q_values): return None\n", "TypeError: "),
    "buffer": ("class Mine:\n    def __init__(self, space, discount, num_envs): ...\n", "AttributeError: "),
    "exploration": (
        "class Mine:\n    columns = ()\n    def __init__(self, num_actions): ...\n"
        "    def select(self, q_values): return 0\n",
        "TypeError: Mine has no end_episode, report",
    ),
    "optimizer": ("class Mine:\n    max_grad_value = max_grad_norm = None\n    lr = 3\n", ""),
    "target": ("class Mine:\n    has_network = True\n    def follow(self, online): ...\n", "TypeError: "),
    "value": ("class Mine:\n    num_outputs = 1\n    def q_values(self, outputs): return outputs[0, 0, 0]\n", ""),
    "network": (
        "from torch import nn\nclass Mine(nn.Module):\n    def __init__(self, o, a, k, g):\n"
        "        super().__init__(); self.w = nn.Parameter(g and nn.init.zeros_(__import__('torch').empty(a, k)))\n"
        "    def forward(self, obs): return self.w.detach().expand(len(obs), -1, -1)\n", "",
    ),
    "logger": (
        "class Mine:\n    def open(self, directory, config, columns): ...\n",
        "TypeError: Mine has no write, close, info",
    ),
}  # fmt: skip


@pytest.mark.parametrize("group", [
    pytest.param(group, marks=[] if group in ("value", "network", "logger") else [pytest.mark.slow]) for group in BROKEN
])  # fmt: skip
def test_a_component_that_breaks_its_contract_is_refused_before_the_run(tmp_path, group):
    """A trial builds and uses it once: one line, exit code 2, and no run directory."""
    body, said = BROKEN[group]
    write_component(tmp_path, group, body)
    done = dqn_lab("train", "--config-dir", ".", f"{group}=mine", cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {group}=my_part:Mine: failed in a trial before the run: {said}")
    assert line.endswith(f"`components {group}` prints what {'an' if group[0] in 'aeo' else 'a'} {group} needs")
    assert not (tmp_path / "outputs").exists()


def write_component(directory, group, body):
    (directory / group).mkdir()
    package = "# @package logger.mine\n" if group == "logger" else ""
    (directory / group / "mine.yaml").write_text(f"{package}name: my_part:Mine\n")
    (directory / "my_part.py").write_text(body)


@pytest.mark.parametrize("name", ["builtins:object", "builtins:int", "os:PathLike"])
def test_a_class_that_is_not_a_component_is_refused(tmp_path, name):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "mine.yaml").write_text(f"name: {name}\n")
    done = dqn_lab("train", "--config-dir", ".", "target=mine", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: target")
    assert not (tmp_path / "outputs").exists()


def test_a_trial_changes_nothing_in_the_run(tmp_path):
    """A built-in buffer under a custom name gets a trial, and the run writes the same bytes as without one."""
    body = "from dqn_lab.buffer.uniform import Uniform\nclass Mine(Uniform): ...\n"
    write_component(tmp_path, "buffer", body)
    for directory, option in (("mine", "mine"), ("own", "uniform")):
        words = ("--config-dir", ".", f"buffer={option}", f"hydra.run.dir={directory}", "engine=torch", "episodes=12")
        done = dqn_lab("train", *words, *QUICK[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    mine, own = ((tmp_path / name / "episodes.csv").read_bytes() for name in ("mine", "own"))
    assert mine == own


@pytest.mark.parametrize(("value", "said"), [
    ("raising", "RuntimeError: no such luck"), ("exiting", "SystemExit: 0"), ("nowhere", "ModuleNotFoundError: "),
    ("parent.child", "ModuleNotFoundError: "), ("raising.child", "RuntimeError: no such luck"),
    ("registering", "ValueError: register('nets', 'mine'): no such group"),
])  # fmt: skip
def test_a_plugin_that_cannot_be_loaded_is_named_and_left_out(tmp_path, value, said):
    site = tmp_path / "site"
    (site / "bad-1.0.dist-info").mkdir(parents=True)
    (site / "bad-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    (site / "bad-1.0.dist-info" / "entry_points.txt").write_text(f"[dqn_lab.plugins]\nbad = {value}\n")
    (site / "raising.py").write_text("raise RuntimeError('no such luck')\n")
    (site / "exiting.py").write_text("import sys\nsys.exit(0)\n")
    (site / "registering.py").write_text(
        "from dqn_lab.registry import register\n@register('nets', 'mine')\nclass Mine: ...\n"
    )
    done = dqn_lab("train", "episodes=2", "display=none", *QUICK[1:], cwd=tmp_path, path=site)
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"warning: plugin bad ({value}) could not be loaded: {said}")


def test_a_custom_compiled_environment_runs_in_the_compiled_rollout(directory_run):
    for rollout in ("compiled", "python"):
        words = ("env=walk", "+env.kwargs.distance=4", f"rollout={rollout}", f"hydra.run.dir={rollout}", *QUICK)
        done = dqn_lab("train", "--config-dir", "my_lab", *words, "episodes=20", cwd=directory_run)
        assert done.returncode == 0, done.stderr
        record = json.loads((directory_run / rollout / "run.json").read_text())
        assert record["rollout"]["name"] == rollout
    one, other = ((directory_run / name / "episodes.csv").read_bytes() for name in ("compiled", "python"))
    assert one == other
    assert len(one.splitlines()) == 21


class Exploration:
    """Returns the given action and report."""

    columns = ()

    def __init__(self, action=0, row=()):
        self.action, self.row = action, dict.fromkeys(row, 0.0)

    def select(self, q_values, draw, env_index, progress):
        return self.action

    def report(self, progress):
        return self.row


class Late(Exploration):
    """Returns an invalid action after a hundred steps."""

    def select(self, q_values, draw, env_index, progress):
        return 5 if progress.step > 100 else 0


@pytest.mark.parametrize(("exploration", "said"), [
    (Exploration(7), r"exploration=.*:Exploration returned 7; must be an integer from 0 to 1"),
    (Exploration(0.5), r"exploration=.*:Exploration returned 0\.5; must be an integer from 0 to 1"),
    (Exploration(1, ["a"]), r"report returned a; must return {}: it has no columns"),
    (Late(), r"exploration=.*:Late returned 5; must be an integer from 0 to 1"),
])  # fmt: skip
def test_a_trial_checks_an_explorations_action_and_report(exploration, said):
    from dqn_lab.schedule import Progress
    from dqn_lab.trial import _explore
    from dqn_lab.types import ConfigError

    with pytest.raises((TypeError, ConfigError), match=said):
        _explore(exploration, 2, Progress(200))
    _explore(Exploration(1), 2, Progress(200))


def test_an_error_names_the_logger_that_raised_it(tmp_path):
    from dqn_lab.logs import Logs
    from dqn_lab.types import TrainingError

    class Broken:
        def open(self, directory, config, columns): ...

        def info(self):
            return {}

        def write(self, table, row):
            raise row["error"]

    logs = Logs({"mine": Broken()}, {"episodes": ("error",)})
    logs.open(tmp_path, {}, {})
    for error in (RuntimeError("no such luck"), OSError("no such luck")):
        with pytest.raises(TrainingError, match=rf"^logger=mine: write raised {type(error).__name__}: no such luck "):
            logs.write("episodes", {"error": error})
    with pytest.raises(TrainingError, match=r"^logger=mine: write raised FileNotFoundError: "):
        logs.write("episodes", {"error": FileNotFoundError(2, "No such file", "x.txt")})
    own = type("Own", (Broken,), {"__module__": "dqn_lab.logger.own"})
    logs = Logs({"own": own()}, {"episodes": ("error",)})
    with pytest.raises(OSError, match="full"):  # the command names the file
        logs.write("episodes", {"error": OSError(28, "full", "rows.json")})


@pytest.mark.parametrize(("method", "arguments", "must"), [
    ("write", "self, row", "Mine.write must take (table, row)"), ("close", "self", "Mine.close must take (status, sum"),
    ("open", "self, *rest", None),
])  # fmt: skip
def test_a_loggers_methods_are_checked_for_their_arguments_before_the_run(tmp_path, method, arguments, must):
    (tmp_path / "mine.py").write_text(
        "from dqn_lab.logger.csv import CSVLogger\n\n\nclass Mine(CSVLogger):\n"
        f"    def {method}({arguments}):\n        return super().{method}(*rest)\n"
    )
    (tmp_path / "logger").mkdir()
    (tmp_path / "logger" / "mine.yaml").write_text("# @package logger.mine\nname: mine:Mine\n")
    done = dqn_lab("train", "--config-dir", ".", *QUICK[:-1], "logger=mine", "hydra.run.dir=run", cwd=tmp_path)
    if must is None:
        assert done.returncode == 0, done.stderr
    else:
        assert must in done.stderr
        assert not (tmp_path / "run").exists()


DRAWING = """import random
import numpy as np
import torch
from dqn_lab.exploration.none import Greedy
from dqn_lab.bootstrap.max import Max
from dqn_lab.network.mlp import MLP
from dqn_lab.optimizer.adam import Adam
from dqn_lab.buffer.uniform import Uniform
from dqn_lab.value.expected import Expected
from dqn_lab.types import Bootstrapped

class Dice(Greedy):
    def select(self, q_values, draw, env_index, progress):
        return np.random.randint(2)

class Coin(Greedy):
    def select(self, q_values, draw, env_index, progress):
        return random.choice([0, 1])

class Fair(Greedy):
    def select(self, q_values, draw, env_index, progress):
        q_values()
        return int(draw() * self.num_actions)

class Counting(Greedy):
    def __init__(self, num_actions):
        super().__init__(num_actions)
        self.counts, self.last, self.kept, self.never = np.zeros(num_actions), [], 0, float("nan")

    def select(self, q_values, draw, env_index, progress):
        action = int(draw() * self.num_actions)
        self.counts[action] += 1
        self.kept += 1
        self.last = [(action, progress.step)]
        return action

    def state_dict(self):
        return {"kept": self.kept}

    def load_state_dict(self, state):
        self.kept = state["kept"]

class Noise(Max):
    def __call__(self, q_values, action):
        return super().__call__(q_values, action + 0 * torch.randint(2, action.shape))

class Heavy:
    def __call__(self, q_values, action):
        ones = torch.ones_like(q_values.target_next)
        return Bootstrapped(ones, 0 * ones, 0 * ones[:, 0])

class Minus(Heavy):
    def __call__(self, q_values, action):
        ones = torch.ones_like(q_values.target_next)
        return Bootstrapped(ones * torch.tensor([-1.0, 2.0]), 0 * ones, 0 * ones[:, 0])

class Maximum(Heavy):
    def __call__(self, q_values, action):
        return q_values.target_next.max(1)

class Wide(Heavy):
    def __call__(self, q_values, action):
        ones = torch.ones_like(q_values.target_next)
        return Bootstrapped(ones / 2, 0 * ones, 0 * ones)

class Rows(Uniform):
    def sample(self, draws):
        return super().sample(draws).transition

class Losses(Expected):
    def loss(self, outputs, action, target, noise):
        return super().loss(outputs, action, target, noise).loss

class Few(Uniform):
    def sample(self, draws):
        return super().sample(draws[:5])

class Early(Uniform):
    def sample(self, draws):  # draws from rows that are not filled yet
        batch = super().sample(draws)
        batch.indices = batch.rows = (draws * self.ring.capacity).astype(np.int64)
        return batch

class Shared(Uniform):
    def __init__(self, space, discount, num_envs):
        super().__init__(space, 1.0, num_envs, capacity=1000)

class Doubling:  # acts whenever the step has doubled
    has_network = True

    def __init__(self):
        self.next = 1

    def follow(self, online, target, before, after):
        if after.step >= self.next:
            self.next = 2 * after.step

class Restored(Doubling):
    def state_dict(self):
        return {"next": self.next}

    def load_state_dict(self, state):
        self.next = state["next"]

class Half(Doubling):
    def state_dict(self):
        return {"next": self.next}

class Tired(Max):
    def __init__(self):
        self.calls = 0

    def __call__(self, q_values, action):
        self.calls += 1
        return super().__call__(q_values, action)

class Counted(Adam):
    def __init__(self):
        super().__init__()
        self.calls, self.lr = 0, self.next_lr

    def next_lr(self, progress):
        self.calls += 1
        return 1e-3

class Partial(Adam):
    def build(self, parameters):
        size = sum(parameter.numel() for parameter in parameters)
        return super().build(list(parameters)[:1]) if size else None

class Returning(Greedy):
    columns = ("return",)

    def report(self, progress):
        return {"return": 0.0}

class Never(Uniform):
    def ready(self, batch_size):
        return False

class Layers(MLP):
    def forward(self, obs, noise=None):
        self.calls = vars(self).get("calls", 0) + 1
        return super().forward(obs, noise)

class Silent(Greedy):
    columns = ("epsilon",)

    def report(self, progress): ...
"""


@pytest.fixture
def drawing(configure, tmp_path, monkeypatch):
    """Returns a function that builds a configuration with components of `DRAWING`."""
    (tmp_path / "drawing_parts.py").write_text(DRAWING)
    monkeypatch.syspath_prepend(tmp_path)

    def choose(**names):
        config = configure("steps=300", "episodes=null")
        return {**config, **{group: {"name": f"drawing_parts:{name}"} for group, name in names.items()}}

    return choose


@pytest.mark.parametrize(("names", "warnings"), [
    ({"exploration": "Dice"}, ["exploration=drawing_parts:Dice: draws from np.random, which the seed does not fix and "
                               "`resume` does not restore; use the `draw` that `select` is given"]),
    ({"exploration": "Coin"}, ["exploration=drawing_parts:Coin: draws from random, which"]),
    ({"bootstrap": "Noise"}, ["bootstrap=drawing_parts:Noise: draws from torch's global generator, which"]),
    ({"exploration": "Fair", "bootstrap": "Noise"}, ["bootstrap=drawing_parts:Noise: draws from torch's"]),
    ({"exploration": "Fair"}, []),
    ({"exploration": "Counting"}, ["exploration=drawing_parts:Counting: counts, last are not in its `state_dict`; a "]),
    ({"target": "Doubling"}, ["target=drawing_parts:Doubling: next is not in its `state_dict`; a resumed run may "]),
    ({"target": "Restored"}, []),
    ({"bootstrap": "Tired"}, ["bootstrap=drawing_parts:Tired: calls is not in its `state_dict`; a resumed run may "]),
    ({"optimizer": "Counted"}, ["optimizer=drawing_parts:Counted: calls is not in its `state_dict`; a resumed run "]),
    ({"network": "Layers"}, ["network=drawing_parts:Layers: calls is not in its `state_dict`; a resumed run may con"]),
    ({"optimizer": "Partial"}, ["optimizer=drawing_parts:Partial: build leaves out 5 of 6 parameters, which will no"]),
    ({"buffer": "Early"}, ["buffer=drawing_parts:Early: sample returned 64 of 64 transitions that were never ap"]),
    ({"buffer": "Shared"}, ["buffer=drawing_parts:Shared: sample returned a discount of 1 with discount=0.99; a "]),
    ({"buffer": "Few"}, ["buffer=drawing_parts:Few: sample returned 5 transitions for train.batch_size=64"]),
])  # fmt: skip
def test_a_component_that_a_resumed_run_cannot_restore_is_named(drawing, names, warnings):
    import random

    import numpy as np

    from dqn_lab.trial import rehearse

    before = random.getstate(), np.random.get_state()[2], sys.getprofile()  # noqa: NPY002
    found = rehearse(drawing(**names))
    assert len(found) == len(warnings)
    assert all(line.startswith(warning) for line, warning in zip(found, warnings, strict=True)), found
    assert (random.getstate(), np.random.get_state()[2], sys.getprofile()) == before  # noqa: NPY002


def test_a_trial_does_not_copy_the_replay(drawing):
    """Two agents have 240 MB each, which the system allocates only as it is written."""
    import tracemalloc

    from dqn_lab.trial import rehearse

    config = drawing(exploration="Fair")
    config["buffer"]["capacity"] = 5_000_000
    tracemalloc.start()
    try:
        assert rehearse(config) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * 240e6


@pytest.mark.parametrize(("name", "said"), [("Heavy", "sum to 2"), ("Minus", "go down to -1")])
def test_invalid_probabilities_are_found_in_a_trial(drawing, name, said):
    from dqn_lab.trial import rehearse
    from dqn_lab.types import ConfigError

    with pytest.raises(
        ConfigError, match=f"^bootstrap=drawing_parts:{name}: its probabilities {said}; must be at leas"
    ):
        rehearse(drawing(bootstrap=name))


@pytest.mark.parametrize(("group", "name", "said"), [
    ("bootstrap", "Maximum", "must return a Bootstrapped .*, returned torch.return_types.max$"),
    ("bootstrap", "Wide", r"must return a Bootstrapped .*; its bonus has shape \(64, 2\), must be \(64,\)$"),
    ("buffer", "Rows", "sample must return a Batch, returned dqn_lab.types.Transition$"),
    ("value", "Losses", "loss must return a Loss .*, returned torch.Tensor$"),
    ("exploration", "Silent", ".*report returned nothing; must return a value for each of its columns, epsilon"),
    ("target", "Half", ".*Half has no load_state_dict"),
])  # fmt: skip
def test_a_wrong_return_value_is_found_in_a_trial(drawing, group, name, said):
    from dqn_lab.trial import rehearse
    from dqn_lab.types import ConfigError

    with pytest.raises(ConfigError, match=f"^{group}=drawing_parts:{name}: {said}"):
        rehearse(drawing(**{group: name}))


def test_a_column_that_exists_already_is_refused(drawing):
    from dqn_lab.trial import rehearse
    from dqn_lab.types import ConfigError

    said = r"^exploration=drawing_parts:Returning declares column 'return', which exists already$"
    with pytest.raises(ConfigError, match=said):
        rehearse(drawing(exploration="Returning"))


def test_a_buffer_that_is_never_ready_is_named_in_the_summary(tmp_path, capsys, monkeypatch):
    from dqn_lab.cli._summary import show_summary

    config = {"train": {"learning_starts": 64, "batch_size": 32}, "steps": 64, "episodes": None}
    record = {"progress": {"episode": 3, "step": 64, "updates": 0}, "scores": {"final": {
        "return_mean": 9.0, "return_std": 1.0, "episodes": 2}}, "config": config}  # fmt: skip
    for steps, reason in ((63, "learning begins after train.learning_starts=64 steps"),
                          (64, "the buffer was never ready for a batch of train.batch_size=32")):  # fmt: skip
        record["progress"]["step"] = steps
        show_summary(record, "run", 1.0)
        assert f"nothing was learned: {reason}\n" in capsys.readouterr().out


def test_a_file_that_changed_since_a_run_began_is_named(tmp_path):
    (tmp_path / "mine.py").write_text("from helping import Half\n\nclass Mine(Half): ...\n")
    (tmp_path / "helping.py").write_text("from dqn_lab.buffer.uniform import Uniform\n\nclass Half(Uniform): ...\n")
    (tmp_path / "buffer").mkdir()
    (tmp_path / "buffer" / "mine.yaml").write_text("name: mine:Mine\ncapacity: 1000\n")
    (tmp_path / "ask.yaml").write_text("question: Mine?\nvariants: {mine: [buffer=mine], own: []}\nseeds: [0, 1]\n")
    ask = ("sweep", "ask.yaml", "--config-dir", ".", *QUICK)
    assert "has changed" not in dqn_lab(*ask, cwd=tmp_path).stderr
    assert "has changed" not in dqn_lab(*ask, cwd=tmp_path).stderr
    (tmp_path / "helping.py").write_text((tmp_path / "helping.py").read_text() + "\nNUMBER = 1\n")
    again = dqn_lab(*ask, cwd=tmp_path)
    said = "warning: helping has changed since 2 runs here began, which are kept; to run everything "
    assert said in " ".join(again.stderr.split())
    assert "0 of 4 jobs to run" in again.stdout
    dqn_lab(*ask, "seed=2", cwd=tmp_path)
    (sweep,) = (tmp_path / "outputs" / "sweeps").glob("ask*")
    dqn_lab("report", sweep, cwd=tmp_path)
    page = (sweep / "report" / "index.html").read_text(encoding="utf-8")
    assert "helping has changed between these runs, which mix old and new code" in page
    assert "mine has changed" not in page
    (run,) = (tmp_path / "outputs" / "sweeps").glob("ask*/buffer=mine,seed=0-*")
    verified = dqn_lab("verify", run, "--trust", "display=none", cwd=tmp_path).stdout
    assert verified.endswith("are the same, byte for byte, although helping changed since the run began\n")
    resumed = dqn_lab("resume", run, "episodes=8", "--trust", cwd=tmp_path)
    said = " ".join(resumed.stderr.split())
    assert "helping has changed since the run began; the run continues with the new code" in said
    assert resumed.returncode == 0, resumed.stderr
    told = " ".join(dqn_lab("report", run, cwd=tmp_path).stdout.split())
    assert "note helping has changed while a run was stopped, which mixes old and new code" in told


EDITED = """
import pathlib
import dqn_lab

few = dict(config_dir="lab", display="none", steps=200, episodes=None, logger="csv")
path = pathlib.Path("lab/edited.py")
dqn_lab.train("exploration=mine", "evaluation.final_num_episodes=1", **few)
path.write_text(path.read_text().replace("10_000", "150"))
try:
    dqn_lab.train("exploration=mine", "evaluation.final_num_episodes=1", **few)
except dqn_lab.TrainingError as error:
    print(error)
"""


def test_a_file_edited_between_two_calls_is_reloaded_and_its_error_located(tmp_path):
    """The process has not imported gymnasium before; its environments must stay registered."""
    (tmp_path / "lab" / "exploration").mkdir(parents=True)
    (tmp_path / "lab" / "exploration" / "mine.yaml").write_text("name: edited:Mine\n")
    (tmp_path / "lab" / "edited.py").write_text(
        "from dqn_lab.exploration.none import Greedy\n\n\nclass Mine(Greedy):\n    count = 0\n\n"
        "    def select(self, q_values, draw, env_index, progress):\n        self.count += 1\n"
        "        if self.count > 10_000:\n            raise ValueError('boo')\n        return 0\n"
    )
    done = subprocess.run([sys.executable, "-c", EDITED], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = r"ValueError: boo \(raised in edited.py, line 10; after step 150 of the run\); the traceback is in "
    assert re.match(said, done.stdout)


@pytest.mark.parametrize(("group", "body", "said"), [
    ("network", "import torch\nclass Mine(torch.nn.Module):\n    def __init__(self, *_):\n        super().__init__()\n"
                "    def forward(self, obs):\n        return helper(obs)\n",
     "network=my_part:Mine: NameError: name 'helper' is not defined (raised in my_part.py, line 6)"),
    ("network", "import torch\nimport maths\n", "No module named 'maths' (raised in my_part.py, line 2)"),
    ("network", "import torch\nclass Mine(torch.nn.Module):\n    def __init__(self, *_):\n        super().__init__()\n"
                "    def forward(self, obs):\n        return obs, obs\n",
     "network=my_part:Mine: returns a tuple; must return a tensor of shape (1, 2, 1)"),
    ("network", "from dqn_lab.network.mlp import MLP\nclass Mine(MLP):\n    def forward(self, obs, noise=None):\n"
                "        return super().forward(obs, noise) * float('nan')\n",
     "network=my_part:Mine: returned [nan, nan]; must be finite numbers"),
    ("buffer", "from dqn_lab.buffer.uniform import Uniform\nclass Mine(Uniform):\n    columns = ('fill',)\n"
               "    def report(self, progress):\n        return {'full': 1.0}\n",
     "buffer=my_part:Mine: failed in a trial before the run: TypeError: report returned full; must return a value "),
    ("buffer", "from dqn_lab.buffer.uniform import Uniform\nclass Mine(Uniform):\n    columns = ('fill',)\n"
               "    def report(self, progress):\n        return {'fill': 'half'}\n",
     "TypeError: report returned fill='half'; must be a number, or None for an empty cell"),
    ("target", "from dqn_lab.target.periodic import Periodic\nclass Mine(Periodic):\n    columns = ('age',)\n"
               "    def report(self, progress):\n        return {'age': [1.0]}\n",
     "target=my_part:Mine: failed in a trial before the run: TypeError: report returned age=[1.0]; must be a number"),
])  # fmt: skip
def test_an_error_in_a_component_is_reported_before_anything_is_written(tmp_path, group, body, said):
    write_component(tmp_path, group, body)
    done = dqn_lab("train", "--config-dir", ".", f"{group}=mine", *QUICK, cwd=tmp_path)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert not (tmp_path / "outputs").exists()
