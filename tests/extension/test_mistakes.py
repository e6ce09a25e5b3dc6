"""Mistakes in custom components: each is named in one line, before a run or in its error."""

import os
import re
import subprocess
import sys

import gymnasium
import pytest

from dqn_lab.types import ConfigError

QUICK = ("steps=400", "episodes=null", "evaluation.final_num_episodes=2", "logger=csv", "display=none")


def dqn_lab(*words, cwd):
    command = [sys.executable, "-m", "dqn_lab", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=dict(os.environ), capture_output=True, text=True)


BUFFERS = """
from dqn_lab.buffer.prioritized import Prioritized
from dqn_lab.buffer.uniform import Uniform


class Floor(Prioritized):
    def __init__(self, observation_space, discount, num_envs, *, floor: float = 0.1):
        super().__init__(observation_space, discount, num_envs)
        self.floor = floor


class Even(Uniform):
    def __init__(self, observation_space, discount, num_envs, *, floor: float = 0.1):
        super().__init__(observation_space, discount, num_envs)
"""


@pytest.fixture
def lab(configure, tmp_path, monkeypatch):
    """Returns a function that writes a module `lab_parts` and returns a configuration with components of it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lab_parts", raising=False)

    def choose(source, *overrides, **names):
        (tmp_path / "lab_parts.py").write_text(source)
        config = configure("steps=300", "episodes=null", *overrides)
        return {**config, **{group: {"name": f"lab_parts:{name}"} for group, name in names.items()}}

    yield choose
    sys.modules.pop("lab_parts", None)


@pytest.mark.parametrize("name", ["Floor", "Even"])
def test_a_derived_buffer_works_without_the_keys_of_its_base(lab, name):
    """Its base's `check` and `explain` find their defaults."""
    from dqn_lab.build import validate
    from dqn_lab.explain import explain
    from dqn_lab.trial import rehearse

    config = validate(lab(BUFFERS, buffer=name))
    assert config["buffer"] == {"name": f"lab_parts:{name}", "floor": 0.1}
    assert rehearse(config) == []
    (said,) = (text for _, text in explain(config, {}).steps if "among the last 50,000 transitions" in text)
    assert said.endswith(f"; {name} changes it, and has neither `explain` nor a docstring]")
    with pytest.raises(ConfigError, match=r"batch_size=60000: must be at most buffer.capacity=50000$"):
        validate({**config, "train": {**config["train"], "batch_size": 60_000}})


CHECKED = """
from dqn_lab.buffer.uniform import Uniform


class Text(Uniform):
    @staticmethod
    def check(config):
        return f"buffer.capacity={config['buffer'].get('capacity')}: is too small"


class OfAnInstance(Uniform):
    def check(self, config):
        return []


class WarnsNothing(Uniform):
    @classmethod
    def warn(cls, config):
        return None


class Numbers(Uniform):
    @staticmethod
    def check(config):
        return [1]


class Empty(Uniform):
    @staticmethod
    def check(config):
        return ""


class Bare(Uniform):
    def __init__(self, capacity=1000):
        super().__init__(capacity=capacity)
"""


@pytest.mark.parametrize(("name", "said"), [
    ("Text", "buffer.capacity=50000: is too small"),
    ("OfAnInstance", "buffer=lab_parts:OfAnInstance: TypeError: check must be a @staticmethod or a @classmethod: it is "
                     "called before anything is built"),
    ("Numbers", "buffer=lab_parts:Numbers: TypeError: check must return lines of text, returned 1"),
])  # fmt: skip
def test_a_check_may_return_one_text_and_needs_no_instance(lab, name, said):
    from dqn_lab.build import validate

    with pytest.raises(ConfigError) as caught:
        validate(lab(CHECKED, buffer=name))
    assert caught.value.problems == (said,)


@pytest.mark.parametrize("name", ["WarnsNothing", "Empty"])
def test_an_empty_answer_is_no_problem_and_no_warning(lab, name):
    from dqn_lab.build import build, validate

    assert build(validate(lab(CHECKED, buffer=name))).warnings == []


def test_a_constructor_that_does_not_take_what_the_run_supplies_is_named(lab):
    from dqn_lab.build import build, validate

    with pytest.raises(
        ConfigError, match=r"TypeError: its constructor must take \(observation_space, discount, num_envs, \*, …\): "
    ):
        build(validate(lab(CHECKED, buffer="Bare")))


def test_a_script_that_trains_when_it_is_imported_for_its_component_is_told_so(tmp_path):
    (tmp_path / "own.py").write_text(
        "import dqn_lab\nfrom dqn_lab.buffer.uniform import Uniform\n\n\nclass Mine(Uniform):\n    pass\n\n\n"
        "dqn_lab.train('buffer.name=own:Mine', 'logger=csv', steps=300, episodes=None, display='none')\n"
    )
    ended = subprocess.run([sys.executable, "own.py"], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 1
    said = 'dqn_lab.train: is called while own is imported for its component; write the call below `if __name__ == "__m'
    assert said in ended.stderr
    assert not (tmp_path / "outputs").exists()


def test_a_key_of_the_base_that_a_derived_constructor_does_not_accept_is_named(tmp_path):
    """In the yaml and on the command line."""
    (tmp_path / "my_parts.py").write_text(BUFFERS)
    (tmp_path / "buffer").mkdir()
    said = "a parameter of Prioritized, but not of my_parts:Floor; add `**shared` to its constructor and to its call of"
    for yaml, typed in (("capacity: 10_000\n", []), ("", ["buffer.capacity=10000"])):
        (tmp_path / "buffer" / "mine.yaml").write_text(f"name: my_parts:Floor\n{yaml}")
        done = dqn_lab("train", "--config-dir", ".", "buffer=mine", *typed, *QUICK, cwd=tmp_path)
        assert done.returncode == 2, done.stdout
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: buffer.capacity=10000: {said}")


BATCHES = """
import numpy as np
import torch
from dqn_lab.buffer.prioritized import Prioritized
from dqn_lab.types import Batch


class Mine(Prioritized):
    def sample(self, draws):
        b = super().sample(draws)
        t, weights, indices = b.transition, b.weights, b.indices
        return {}
"""


@pytest.mark.parametrize(("returned", "said"), [
    ("Batch(t, weights[:, None], indices)", r"its weights has shape \(64, 1\), must be \(64,\)"),
    ("Batch(t, weights[:10], indices)", r"its weights has shape \(10,\), must be \(64,\)"),
    ("Batch(t, torch.ones(64), indices)", r"its weights is torch.Tensor, must be a numpy array"),
    ("Batch(t, -weights, indices)", r"its weights go down to -1, must be at least 0"),
    ("Batch(t, weights * np.nan, indices)", r"its weights contains nan, must be finite"),
    ("Batch(t, weights, indices * 1.0)", r"its indices has type float64, must be integers"),
    ("Batch(t, weights, indices[:, None])", r"its indices has shape \(64, 1\), must be \(64,\)"),
    ("Batch(b.memory, weights, indices, indices - 999_999)", r"its rows contain -\d+, must be from 0 to 49999"),
    ("Batch(b.memory, weights, indices, indices + 50_000)", r"its rows contain 5\d+, must be from 0 to 49999"),
    ("Batch(tuple(t), weights, indices)", r"its memory is tuple, must be a Transition"),
    ("Batch(t._replace(reward=t.reward[:, None]), weights, indices)", r"its reward has shape \(64, 1\), must be"),
    ("Batch(t._replace(obs=t.obs[:, None]), weights, indices)", r"its obs has shape \(64, 1, 4\), must be \(64, 4\)"),
    ("Batch(t._replace(action=t.action + 2), weights, indices)", r"its action contains [23], must be from 0 to 1"),
    ("Batch(t._replace(action=t.action * 1.0), weights, indices)", r"its action has type float64, must be integers"),
    ("Batch(t._replace(reward=t.reward / 0), weights, indices)", r"its reward contains inf, must be finite"),
    ("Batch(t._replace(discount=t.discount + 1), weights, indices)", r"its discount contains 1.99, must be"),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_field_of_a_custom_buffers_batch_is_checked(lab, returned, said):
    from dqn_lab.trial import rehearse

    config = lab(BATCHES.format(returned), buffer="Mine")
    wanted = r"sample must return a Batch \(memory \[N, …\], weights \[B\] or None, indices \[B\], rows \[B\]\)"
    with pytest.raises(ConfigError, match=f"^buffer=lab_parts:Mine: {wanted}; {said}"):
        rehearse(config)


@pytest.mark.parametrize("returned", ["Batch(t, weights, indices)", "Batch(t, None, indices)", "b"])
def test_a_valid_batch_passes(lab, returned):
    from dqn_lab.trial import rehearse

    assert rehearse(lab(BATCHES.format(returned), buffer="Mine")) == []


NETWORKS = """
import torch
from torch import nn


class Mine(nn.Module):
    def __init__(self, observation_space, num_actions, num_outputs, generator):
        super().__init__()
        self.shape = num_actions, num_outputs
        {}

    def forward(self, obs):
        {}
"""
PLAIN = "self.f = nn.Linear(4, 2)"


@pytest.mark.parametrize("returned", [
    "torch.softmax(self.f(obs), 0)[..., None]", "self.f(obs - obs.mean(0))[..., None]",
    "self.f(obs).T.reshape(-1, *self.shape)",
])  # fmt: skip
def test_a_network_that_mixes_the_observations_of_a_batch_is_refused(lab, returned):
    from dqn_lab.trial import rehearse

    said = "^network=lab_parts:Mine: its outputs for an observation depend on the other observations of the batch; dim"
    with pytest.raises(ConfigError, match=said):
        rehearse(lab(NETWORKS.format(PLAIN, f"return {returned}"), network="Mine"))


def test_networks_that_do_not_mix_or_draw_random_numbers_are_not_blamed_for_it(lab):
    from dqn_lab.trial import rehearse

    returned = "return (self.f(obs) - self.f(obs).mean(1, keepdim=True))[..., None]"
    assert rehearse(lab(NETWORKS.format(PLAIN, returned), network="Mine")) == []


def test_a_network_that_draws_random_numbers_is_not_taken_for_one_that_mixes(lab):
    from dqn_lab.trial import rehearse

    returned = "return (self.f(obs) + torch.randn(len(obs), 2))[..., None]"
    (line,) = rehearse(lab(NETWORKS.format(PLAIN, returned), network="Mine"))
    assert "draws from torch's global generator" in line


@pytest.mark.parametrize(("layers", "returned", "said"), [
    ("self.l = [nn.Linear(4, 32), nn.Linear(32, 2)]", "self.l[1](torch.relu(self.l[0](obs)))[..., None]",
     "keeps layers in the list self.l, where torch does not find them, so they would never learn; use nn.ModuleList"),
    ("self.l = [nn.Linear(4, 4)]; self.out = nn.Linear(4, 2)", "self.out(self.l[0](obs))[..., None]",
     "keeps layers in the list self.l, .*; use nn.ModuleList"),
    ("self.l = {'in': nn.Linear(4, 2)}", "self.l['in'](obs)[..., None]",
     "keeps layers in the dict self.l, .*; use nn.ModuleDict"),
    ("self.w = [nn.Parameter(torch.ones(4, 2))]", "(obs @ self.w[0])[..., None]",
     "keeps layers in the list self.w, .*; use nn.ParameterList"),
])  # fmt: skip
def test_layers_that_torch_does_not_find_are_named(lab, layers, returned, said):
    from dqn_lab.trial import rehearse

    with pytest.raises(ConfigError, match=f"^network=lab_parts:Mine: {said}$"):
        rehearse(lab(NETWORKS.format(layers, f"return {returned}"), network="Mine"))


@pytest.mark.parametrize("layers", [
    "self.f = nn.Linear(4, 2); self.order = [self.f]",
    "self.f = nn.Linear(4, 2); self.fixed = [nn.Linear(4, 2).requires_grad_(False)]",
])  # fmt: skip
def test_a_list_of_known_or_frozen_layers_is_accepted(lab, layers):
    from dqn_lab.build import build

    build(lab(NETWORKS.format(layers, "return self.f(obs)[..., None]"), network="Mine"))


@pytest.mark.parametrize("layers", ["(size,) = observation_space.shape; self.f = nn.Linear(size, 2)", PLAIN])
def test_an_error_in_a_network_names_the_observation_space_that_it_received(lab, layers):
    """Both a constructor and a forward pass that expect another space."""
    from dqn_lab.build import build

    config = lab(NETWORKS.format(layers, "return self.f(obs)[..., None]"), "env=frozen_lake", network="Mine")
    about = r"; the network received the observation space Discrete\(16\), of shape \(\)$"
    with pytest.raises(ConfigError, match=f"^network=lab_parts:Mine: .*{about}"):
        build(config)


ENVIRONMENTS = """
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

events = []


class Base(gymnasium.Env):
    observation_space, action_space = Box(-9, 9, (1,), np.float32), Discrete(2)

    def __init__(self):
        self.episodes = 0
        events.append("made")

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episodes += 1
        return self.draw(), {}

    def step(self, action):
        return self.draw(), 1.0, False, False, {}

    def draw(self):
        return self.np_random.random(1, np.float32)

    def close(self):
        events.append("closed")


class Unseeded(Base):
    def reset(self, *, seed=None, options=None):
        return self.draw(), {}


class Global(Base):
    def draw(self):
        return np.random.random(1).astype(np.float32)


class Remembering(Base):  # every episode is another one, but a run can be repeated
    def draw(self):
        return super().draw() + np.float32(self.episodes % 3)


for name in ("Base", "Unseeded", "Global", "Remembering"):
    gymnasium.register(f"Lab{name}-v0", f"lab_envs:{name}", max_episode_steps=30)
"""


@pytest.mark.parametrize("name", ["Base", "Unseeded", "Global", "Remembering"])
def test_an_environment_that_the_seed_does_not_fix_is_named(configure, tmp_path, monkeypatch, name):
    """The check uses environments of its own, closes them and leaves the global generators unchanged."""
    import numpy as np

    from dqn_lab.build import build

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lab_envs.py").write_text(ENVIRONMENTS)
    before = np.random.get_state()[2]  # noqa: NPY002
    known = set(gymnasium.registry)
    experiment = build(configure(f"env.id=lab_envs:Lab{name}-v0", "buffer.capacity=1000"))
    for added in set(gymnasium.registry) - known:
        del gymnasium.registry[added]
    assert np.random.get_state()[2] == before  # noqa: NPY002
    events = sys.modules.pop("lab_envs").events
    assert events.count("made") == events.count("closed") > 0
    said = [line for line in experiment.warnings if "super().reset(seed=seed)" in line]
    assert len(said) == (name in ("Unseeded", "Global"))
    assert all(line.startswith(f"env=lab_envs:Lab{name}-v0: two episodes with the same seed") for line in said)


BOOTSTRAPS = """
from dqn_lab.bootstrap.max import Max


class Mine(Max):
    def __init__(self):
        self.calls = 0

    def __call__(self, q_values, action):
        self.calls += 1
        found = super().__call__(q_values, action)
        return found._replace(bonus=found.probabilities[:, 0] * 0 + {})
"""


@pytest.mark.parametrize("bonus", ["(0.0 if self.calls < 5 else float('nan'))", "(0.0 if self.calls < 5 else 1e30)"])
def test_a_custom_component_is_named_when_the_loss_is_not_finite(lab, bonus):
    from dqn_lab.build import build
    from dqn_lab.schedule import NEVER
    from dqn_lab.types import TrainingError

    rollout = build(lab(BOOTSTRAPS.format(bonus), "train.learning_starts=1", bootstrap="Mine")).rollout
    said = r"the loss became (nan|inf) in .*: bootstrap=lab_parts:Mine may have returned NaN or too large numbers; if n"

    def run():
        while rollout.progress.step < 1000:
            rollout.advance(NEVER._replace(step=rollout.progress.step + 100))

    with pytest.raises(TrainingError, match=said):
        run()


def test_a_bonus_that_is_not_finite_is_found_in_a_trial(lab):
    from dqn_lab.trial import rehearse

    with pytest.raises(ConfigError, match=r"^bootstrap=lab_parts:Mine: must return .*; its bonus is not finite$"):
        rehearse(lab(BOOTSTRAPS.format("float('nan')"), bootstrap="Mine"))


def test_a_yaml_that_names_an_environments_class_says_what_to_write(tmp_path):
    (tmp_path / "my_envs.py").write_text(ENVIRONMENTS)
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "mine.yaml").write_text("name: my_envs:Base\n")
    done = dqn_lab("train", "--config-dir", ".", "env=mine", *QUICK, cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: env.name=my_envs:Base: has no method make, so it is no component; register an env")
    assert line.endswith("gymnasium.register('Base-v0', Base), and write name: gymnasium and id: my_envs:Base-v0")


EXPLAINED = """
from dqn_lab.buffer.prioritized import Prioritized


class Bare(Prioritized):
    def sample(self, draws):
        return super().sample(draws)


class Documented(Bare):
    \"\"\"Draws what it likes.\"\"\"


class Declared(Documented):
    @staticmethod
    def explain(config):
        return {"store": "store it", "draw": "draw at will"}


class Renamed(Prioritized): ...
"""


@pytest.mark.parametrize(("name", "draws"), [
    ("Bare", "β = 0.4 … 1 [as Prioritized does; Bare changes it, and has neither `explain` nor a docstring]"),
    ("Documented", None), ("Declared", "draw at will"), ("Renamed", "β = 0.4 … 1"),
])  # fmt: skip
def test_explain_does_not_state_the_base_classs_algorithm_for_a_component_that_changes_it(lab, name, draws):
    from dqn_lab.build import validate
    from dqn_lab.explain import explain

    found = explain(validate(lab(EXPLAINED, buffer=name)), {})
    (piece,) = (piece for piece in found.pieces if piece.group == "buffer")
    assert piece.summary.endswith("[its base class's documentation]") == (name in ("Bare", "Renamed", "Declared"))
    steps = [text for _, text in found.steps]
    assert any("Draws what it likes" in text for text in steps) == (draws is None)
    assert any(text.endswith(draws or "draw 64 transitions (s, a, r, s′, γ′)") for text in steps)
    assert any("β" in text for text in steps) == ("β" in (draws or ""))


SHARED = """
from dqn_lab.buffer.prioritized import Prioritized


class Lost(Prioritized):
    def __init__(self, observation_space, discount, num_envs, *, floor: float = 0.1, **shared):
        super().__init__(observation_space, discount, num_envs)


class Kept(Prioritized):
    def __init__(self, observation_space, discount, num_envs, *, floor: float = 0.1, **shared):
        super().__init__(observation_space, discount, num_envs, **shared)


class Halved(Prioritized):
    def __init__(self, observation_space, discount, num_envs, *, capacity: int = 5000, **shared):
        super().__init__(observation_space, discount, num_envs, capacity=capacity // 2, **shared)
"""


@pytest.mark.parametrize(("name", "values", "lost"), [
    ("Lost", {"capacity": 1000}, "capacity"), ("Lost", {"capacity": 1000, "n_step": 3}, "capacity, n_step"),
    ("Lost", {}, ""), ("Kept", {"capacity": 1000, "n_step": 3}, ""), ("Halved", {"capacity": 1000}, ""),
])  # fmt: skip
def test_keys_that_a_constructor_does_not_pass_on_are_named(lab, name, values, lost):
    from dqn_lab.build import validate
    from dqn_lab.trial import rehearse

    config = lab(SHARED, buffer=name)
    found = rehearse(validate({**config, "buffer": {**config["buffer"], **values}}))
    assert len(found) == bool(lost)
    assert all(line.startswith(f"buffer=lab_parts:{name}: {lost} did not arrive in the base class") for line in found)
    assert sys.getprofile() is None


LOSSES = """
from dqn_lab.types import Loss
from dqn_lab.value.expected import Expected


class Mine(Expected):
    def loss(self, outputs, action, target, noise):
        loss, q_value, priority = super().loss(outputs, action, target, noise)
        q_live = outputs.squeeze(-1)[:, 0]
        return Loss({})
"""


@pytest.mark.parametrize(("fields", "said"), [
    ("loss.mean(), q_value, priority", r"its loss is of shape \(\), must be of shape \(64,\): not averaged"),
    ("loss, 1.0, priority", r"its q_value is float, must be of shape \(64,\)"),
    ("loss, q_live, priority", "its q_value must be detached"),
    ("loss.detach(), q_value, priority", "its loss does not depend on the outputs"),
])  # fmt: skip
def test_a_loss_has_one_number_per_transition(lab, fields, said):
    from dqn_lab.trial import rehearse

    with pytest.raises(ConfigError, match=rf"^value=lab_parts:Mine: loss must return a Loss .*; {said}"):
        rehearse(lab(LOSSES.format(fields), value="Mine"))


def test_a_loss_per_transition_passes(lab):
    from dqn_lab.trial import rehearse

    assert rehearse(lab(LOSSES.format("loss, q_value, priority"), value="Mine")) == []


DIAGNOSTICS = """
import torch
from dqn_lab.diagnostics.basic import Basic


class Mine(Basic):
    def {}:
        with torch.no_grad():
            next(self.engine.online.parameters()).add_(0.1)
        return super().{}


class Right(Basic):
    pass
"""


@pytest.mark.parametrize("call", [
    "before_update(self, batch, noise, epsilon)", "after_update(self)", "observe(self, obs, reward, ended)",
])  # fmt: skip
def test_diagnostics_that_change_the_network_are_refused(lab, call):
    from dqn_lab.trial import rehearse

    code = DIAGNOSTICS.format(call, call.replace("self, ", "").replace("self", ""))
    said = f"diagnostics=lab_parts:Mine: {call.partition('(')[0]} changed the networks' parameters; diagnostics must n"
    with pytest.raises(ConfigError, match=re.escape(said)):
        rehearse(lab(code, diagnostics="Mine"))


def test_diagnostics_that_only_measure_pass(lab):
    from dqn_lab.trial import rehearse

    assert rehearse(lab(DIAGNOSTICS.format("unused(self)", "unused()"), diagnostics="Right")) == []


STATES = """
from dqn_lab.exploration.constant import ConstantEpsilon


class Mine(ConstantEpsilon):
    def __init__(self, num_actions, **shared):
        super().__init__(num_actions, **shared)
        self.acted = 0

    def select(self, *args):
        self.acted += 1
        return super().select(*args)

    def state_dict(self):
        return {"acted": self.acted}

    def load_state_dict(self, state):
        pass
"""


def test_a_state_that_is_saved_but_not_restored_is_named(lab):
    from dqn_lab.trial import rehearse

    (line,) = rehearse(lab(STATES, exploration="Mine"))
    assert line.startswith("exploration=lab_parts:Mine: its load_state_dict does not restore acted; a resumed run")
