"""The compiled engine against torch's, which it traces."""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from dqn_lab import registry
from dqn_lab.build import build
from dqn_lab.cli._quiet import Quiet
from dqn_lab.engine import compiled
from dqn_lab.engine._graph import GraphError, graph, obstacle
from dqn_lab.run import Run
from dqn_lab.seeding import torch_generator
from dqn_lab.types import Batch, Noise, Transition

SIZE, A, CPU = 12, 3, torch.device("cpu")
big = pytest.mark.skipif(os.environ.get("HYPOTHESIS_PROFILE") != "nightly", reason="compiles for minutes; see conftest")
needs_compiler = pytest.mark.skipif(obstacle(CPU) is not None, reason="needs a C++ compiler")


def create(group, configuration, *supplied):
    return registry.create(group, registry.validate(group, configuration), *supplied)


class Composition(NamedTuple):
    network: dict[str, Any] = {"name": "mlp", "hidden": [8]}
    value: dict[str, Any] = {"name": "expected"}
    bootstrap: str = "max"
    optimizer: Any = {"name": "adam"}
    shared: bool = False
    weighted: bool = False
    minibatch_size: int | None = None

    def build(self, name, dtype=torch.float64, seed=0):
        value = create("value", self.value)
        supplied = (Box(-1, 1, (4,)), A, value.num_outputs)
        online, target = (
            create("network", self.network, *supplied, torch_generator(seed, which)).to(dtype)
            for which in ("online", "target")
        )
        named = isinstance(self.optimizer, dict)
        parts = value, create("bootstrap", {"name": self.bootstrap}), self.optimizer
        parts = (*parts[:2], create("optimizer", self.optimizer) if named else self.optimizer)
        return create("engine", {"name": name}, online, online if self.shared else target, *parts, CPU)

    def batches(self, number, array=np.float64, first=0):
        """Yields batches, the noise of their updates, and falling learning rates."""
        for seed in range(first, first + number):
            rng = np.random.default_rng(seed)
            memory = Transition(
                obs=rng.normal(size=(SIZE, 4)).astype(array),
                action=rng.integers(A, size=SIZE),
                reward=rng.normal(size=SIZE).astype(array),
                next_obs=rng.normal(size=(SIZE, 4)).astype(array),
                discount=np.where(rng.random(SIZE) < 0.2, 0, 0.9).astype(array),
            )
            weights = rng.uniform(0.2, 1, SIZE).astype(array) if self.weighted else None
            order, step = rng.permutation(SIZE), self.minibatch_size
            noise = Noise(step and [order[i : i + step] for i in range(0, SIZE, step)])
            yield Batch(memory, weights, np.arange(SIZE)), noise, 1e-2 / (1 + seed)


def distance(one, other):
    return max((a - b).abs().max().item() for a, b in zip(one.parameters(), other.parameters(), strict=True))


def count_in_double(engine):
    """Keeps the `mu_product` of torch's NAdam in double precision; torch always uses single."""
    for state in engine.optimizer.state.values():
        if "mu_product" in state:
            state["mu_product"] = state["mu_product"].double()


def compare_with_torch(composition, number=100, tolerance=1e-10):
    """Checks that many updates equal torch's, with falling learning rates and a target network that is updated."""
    within = {"rel": tolerance, "abs": tolerance}
    engine, other = (composition.build(name) for name in ("torch", "compiled"))
    for count, (batch, noise, lr) in enumerate(composition.batches(number)):
        one, another = (each.update(batch, noise, lr) for each in (engine, other))
        count_in_double(engine)
        assert (another.loss, another.q_value) == pytest.approx((one.loss, one.q_value), **within)
        assert another.priorities == pytest.approx(one.priorities, **within)
        assert another.num_updates == one.num_updates
        obs = batch.transition.obs[:1]
        assert other.acting(obs) == pytest.approx(engine.q_values(obs), **within)
        for each in (engine, other) if count % 10 == 0 else ():
            each.target.load_state_dict(each.online.state_dict())
    assert other.fallback is None
    assert distance(other.online, engine.online) < tolerance


KERAS = Composition(
    value={"name": "expected", "loss": "huber", "all_actions": True},
    bootstrap="double", weighted=True, minibatch_size=6, optimizer={"name": "keras_adam", "max_grad_norm": 0.5},
)  # fmt: skip


@needs_compiler
@pytest.mark.slow
def test_minibatches_weights_clipping_and_optimizer_counts_equal_torchs(check_global_randomness):
    with check_global_randomness():
        compare_with_torch(KERAS)


@needs_compiler
def test_tables_are_compiled_too():
    """Their bins are neither parameters nor saved buffers."""
    table = {"name": "table", "low": [-1] * 4, "high": [1] * 4, "bins": 3}
    compare_with_torch(Composition(network=table), number=5)


@needs_compiler
def test_acting_with_network_noise_equals_torchs():
    """It stays equal as the network learns: the compiled code reads the parameters, not a copy."""
    composition = Composition(network={"name": "mlp", "hidden": [8], "noisy": True}, bootstrap="double")
    engine, other = (composition.build(name) for name in ("torch", "compiled"))
    for batch, _, lr in composition.batches(4):
        rng = np.random.default_rng(0)
        draw = engine.online.draw_noise
        noise = Noise(None, *(draw(rng, SIZE, purpose) for purpose in ("online", "selector", "target")))
        for each in (engine, other):
            each.update(batch, noise, lr)
        obs, acting = batch.transition.obs[:1], draw(rng, 1, "acting")
        q_values = other.acting(obs, acting)
        np.testing.assert_allclose(q_values, engine.q_values(obs, acting), rtol=1e-10, atol=1e-10)
        assert (q_values != other.q_values(obs)).all()
    assert other.fallback is None


@needs_compiler
def test_acting_and_the_update_are_compiled_once_each():
    composition = Composition()
    engine = composition.build("compiled")
    for each in composition.batches(3):
        engine.update(*each)
        engine.acting(each[0].transition.obs[:1])
    assert len(engine._graphs) == 2


OPTIMIZERS = [
    {"name": "adamw"}, {"name": "keras_adam"}, {"name": "nadam"}, {"name": "radam"},
    {"name": "rmsprop"}, {"name": "rmsprop", "momentum": 0.9}, {"name": "rmsprop_centered"},
    {"name": "sgd"}, {"name": "sgd", "momentum": 0.9}, {"name": "sgd", "momentum": 0.9, "nesterov": True},
]  # fmt: skip


@big
@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_a_hundred_updates_by_every_optimizer_equal_torchs(optimizer):
    """RAdam's ρ_t is a small difference of large numbers, and its error grows with the updates."""
    compare_with_torch(Composition(optimizer=optimizer), tolerance=1e-9 if optimizer["name"] == "radam" else 1e-10)


def random_composition(rng):
    """Draws a composition, each part independently."""
    values = [
        {"name": "expected"}, {"name": "expected", "loss": "huber", "kappa": 0.5}, {"name": "categorical"},
        {"name": "expected", "all_actions": True}, {"name": "quantile", "num_quantiles": 7},
    ]  # fmt: skip
    hidden = [int(width) for width in rng.integers(1, 40, size=rng.integers(1, 4))]
    activation = str(rng.choice(["relu", "tanh", "silu", "gelu"]))
    optimizer = [{"name": "adam"}, *OPTIMIZERS][rng.integers(len(OPTIMIZERS) + 1)]
    return Composition(
        network={"name": "mlp", "hidden": hidden, "activation": activation, "layer_norm": bool(rng.integers(2))},
        value=values[rng.integers(len(values))],
        bootstrap=str(rng.choice(["max", "double", "munchausen"])),
        optimizer={**optimizer, "max_grad_norm": [None, 0.1, 10.0][rng.integers(3)]},
        shared=bool(rng.integers(2)),
        weighted=bool(rng.integers(2)),
        minibatch_size=[None, 4, 5][rng.integers(3)],
    )


@big
@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("seed", range(20))
def test_updates_of_random_compositions_equal_torchs(seed):
    compare_with_torch(random_composition(np.random.default_rng(seed)), 30)


@needs_compiler
@pytest.mark.parametrize("optimizer", [{"name": "sgd"}, {"name": "sgd", "momentum": 0.5}, {"name": "adam"}], ids=str)
def test_parameters_that_need_no_gradient_do_not_change(optimizer):
    """As in torch, with every optimizer; a custom network may freeze parameters."""
    engine, other = (Composition(optimizer=optimizer).build(name) for name in ("torch", "compiled"))
    before = engine.online.layers[0].weight.detach().clone()
    for each in (engine, other):
        each.online.layers[0].weight.requires_grad_(False)
    for batch, noise, lr in Composition().batches(4):
        for each in (engine, other):
            each.update(batch, noise, lr)
    assert torch.equal(other.online.layers[0].weight, before)
    assert not torch.equal(other.online.layers[0].bias, before[:, 0])
    assert distance(other.online, engine.online) < 1e-10
    assert other.fallback is None


@needs_compiler
def test_an_engine_continues_bit_for_bit_from_a_saved_state():
    engine, other = KERAS.build("compiled"), KERAS.build("compiled", seed=1)
    for each in KERAS.batches(5):
        engine.update(*each)
    saved = engine.state_dict()
    assert [state["step"] for state in saved["optimizer"]["state"].values()] == [10] * 4  # as torch itself saves them
    other.load_state_dict(pickle.loads(pickle.dumps(saved)))
    for each in KERAS.batches(5, first=5):
        one, another = engine.update(*each), other.update(*each)
        assert (one.loss, one.q_value) == (another.loss, another.q_value)
        np.testing.assert_array_equal(one.priorities, another.priorities)
    assert distance(engine.online, other.online) == 0


class CustomOptimizer:
    """A custom `torch.optim` optimizer with the given step function."""

    lr, max_grad_value, max_grad_norm = staticmethod(lambda progress: 0.1), None, None

    def __init__(self, step):
        self.step = step

    def build(self, parameters):
        optimizer = torch.optim.Optimizer(list(parameters), {"lr": 0.1, "count": 0})
        optimizer.step = torch.no_grad()(lambda: self.step(optimizer))
        return optimizer


def by_item(optimizer):
    """Reads a state tensor as a Python number, which cannot be traced."""
    for parameter in optimizer.param_groups[0]["params"]:
        state = optimizer.state[parameter]
        state["step"] = state.get("step", 0) + 1
        parameter -= optimizer.param_groups[0]["lr"] / float(state["step"]) * parameter.grad


def by_counting_in_groups(optimizer):
    (group,) = optimizer.param_groups
    group["count"] += 1
    for parameter in group["params"]:
        parameter -= group["lr"] / group["count"] * parameter.grad


def by_new_tensors(optimizer):
    """Replaces its state by new tensors; other optimizers change it in place."""
    for parameter in optimizer.param_groups[0]["params"]:
        state = optimizer.state[parameter]
        state["mean"] = 0.5 * state.get("mean", torch.zeros_like(parameter)) + parameter.grad
        parameter -= optimizer.param_groups[0]["lr"] * state["mean"]


@pytest.mark.parametrize(("step", "why"), [(by_item, "ependent"), (by_counting_in_groups, "counts in its groups")])
def test_torch_continues_if_tracing_fails_and_the_reason_is_logged_once(step, why, caplog):
    composition = Composition(optimizer=CustomOptimizer(step))
    engine, other = (composition.build(name) for name in ("torch", "compiled"))
    for each in composition.batches(5):
        one, another = engine.update(*each), other.update(*each)
        assert (one.loss, one.q_value) == (another.loss, another.q_value)
    assert distance(other.online, engine.online) == 0
    assert why in other.fallback
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert line == f"{other.fallback}; engine=torch continues"
    assert "\n" not in line
    other.load_state_dict({**engine.state_dict(), "numbers": [{}]})  # saved by an engine that was compiled
    assert distance(other.online, engine.online) == 0


@big
@pytest.mark.slow
@needs_compiler
def test_a_state_may_be_replaced_by_new_tensors():
    compare_with_torch(Composition(optimizer=CustomOptimizer(by_new_tensors)))


def test_a_graph_depends_on_no_tensor_but_its_arguments():
    kept = torch.ones(3)
    with pytest.raises(GraphError):
        graph(lambda tensor: tensor + kept, [torch.zeros(3)])


def refuse(function, arguments):
    raise GraphError("it is a test")


def finish(configure, directory, engine):
    overrides = ("logger=csv", "episodes=null", "steps=200", "evaluation.interval=null")
    return Run(build(configure(f"engine={engine}", *overrides)), directory, {}).execute(Quiet())


def test_a_run_that_cannot_be_compiled_uses_torch_and_records_why(configure, tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "graph", refuse)
    for engine in ("torch", "compiled"):
        finish(configure, tmp_path / engine, engine)
    assert (tmp_path / "torch/episodes.csv").read_bytes() == (tmp_path / "compiled/episodes.csv").read_bytes()
    record = json.loads((tmp_path / "compiled/run.json").read_text(encoding="utf-8"))
    reason = "engine=compiled: it is a test"
    assert record["engine"] == {"name": "torch", "reason": reason, "rejected": {"compiled": reason}}


def test_a_run_without_a_compiler_uses_torch_from_the_start(configure, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(compiled, "obstacle", lambda device: "no compiler here")
    record = finish(configure, tmp_path / "run", "compiled")
    reason = "engine=compiled: no compiler here"
    assert record["engine"] == {"name": "torch", "reason": reason, "rejected": {"compiled": "no compiler here"}}
    assert [each.getMessage() for each in caplog.records if "no compiler here" in each.getMessage()] == [
        "engine=compiled: no compiler here; engine=torch is used"
    ]


def test_a_missing_compiler_is_detected():
    command = "import torch; from dqn_lab.engine._graph import obstacle; print(obstacle(torch.device('cpu')))"
    environment = {**os.environ, "CXX": "no-such-compiler", "PATH": "/nowhere"}
    printed = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True)
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.strip() != "None"


@big
@pytest.mark.slow
@needs_compiler
def test_two_workers_may_share_an_empty_cache(tmp_path):
    command = [sys.executable, "-m", "dqn_lab", "train", "engine=compiled", "episodes=null", "steps=200", "logger=csv"]
    command += ["evaluation.interval=null", "evaluation.final_num_episodes=1", "display=none"]
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    workers = [
        subprocess.Popen([*command, f"hydra.run.dir={tmp_path / name}"], env=environment) for name in ("one", "other")
    ]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert subprocess.run([*command, f"hydra.run.dir={tmp_path / 'third'}"], env=environment).returncode == 0
    tables = [(tmp_path / name / "episodes.csv").read_bytes() for name in ("one", "other", "third")]
    assert tables[0] == tables[1] == tables[2]
    records = [json.loads((tmp_path / name / "run.json").read_text(encoding="utf-8")) for name in ("one", "third")]
    assert [record["engine"]["name"] for record in records] == ["compiled", "compiled"]
