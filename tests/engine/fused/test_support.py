"""What the kernels support, and what happens to the rest."""

from __future__ import annotations

import pytest
import torch

from dqn_lab.bootstrap.max import Max
from dqn_lab.build import build
from dqn_lab.engine.fused import FusedEngine, support
from dqn_lab.types import ConfigError
from tests.engine.fused.compositions import CPU, Composition, create


@pytest.mark.parametrize(("override", "problem"), [
    ("network.activation=silu", "network.activation=silu"),
    ("network.activation=gelu", "network.activation=gelu"),
    ("device=cpu:0", "device=cpu:0"),
    ("network.name=dqn_lab.network.mlp:MLP", "network=dqn_lab.network.mlp:MLP"),
    ("optimizer.name=dqn_lab.optimizer.adam:Adam", "optimizer=dqn_lab.optimizer.adam:Adam"),
    ("value.name=dqn_lab.value.expected:Expected", "value=dqn_lab.value.expected:Expected"),
    ("bootstrap.name=dqn_lab.bootstrap.double:Double", "bootstrap=dqn_lab.bootstrap.double:Double"),
])  # fmt: skip
def test_what_the_kernels_do_not_support_is_refused_by_name_and_left_to_torch(configure, override, problem):
    with pytest.raises(ConfigError) as error:
        configure("engine=fused", override)
    (line,) = error.value.problems
    assert problem in line
    assert "\n" not in line
    config = configure("engine=auto", "episodes=100", override)  # too short to compile
    assert list(FusedEngine.check(config)) == [line]
    choice = build(config).choices["engine"]
    assert choice.name == "torch"
    assert problem in choice.rejected["fused"]


@pytest.mark.parametrize("choice", [{"activation": "silu"}, {"activation": "gelu"}])
def test_an_engine_built_past_the_check_refuses_too(choice):
    with pytest.raises(ConfigError):
        Composition(network={"name": "mlp", **choice}).build("fused", torch.float32)


class Other(Max):
    """A custom class, which the kernels cannot support."""


@pytest.mark.parametrize("group", ["network", "value", "bootstrap", "optimizer"])
def test_objects_that_are_not_in_the_table_are_refused_by_their_class(group):
    composition = Composition(network={"name": "mlp"})
    parts = {"network": composition.networks(torch.float32)[0], "value": create("value", {"name": "expected"})}
    parts |= {"bootstrap": create("bootstrap", {"name": "max"}), "optimizer": create("optimizer", {"name": "adam"})}
    assert support.identify(**parts, device=CPU)[f"{group}.name"] in support.SUPPORTED[f"{group}.name"]
    with pytest.raises(ValueError, match=rf"^does not run {group}=Other, only .*; engine=torch does$"):
        support.identify(**{**parts, group: Other()}, device=CPU)


def test_a_device_that_is_not_in_the_table_is_refused():
    with pytest.raises(ConfigError, match="device=meta, only cpu"):
        create("engine", {"name": "fused"}, *Composition().networks(torch.float32),
               create("value", {"name": "expected"}), create("bootstrap", {"name": "max"}),
               create("optimizer", {"name": "adam"}), torch.device("meta"))  # fmt: skip


def test_the_help_lists_the_whole_table():
    """What `components engine` prints of the check names every key and every value."""
    for key, values in support.SUPPORTED.items():
        words = ", ".join(str(value).lower() for value in values)
        assert f"{key}={words}" in FusedEngine.check.__doc__


def test_choices_that_kernels_switch_on_have_distinct_codes():
    for key, values in support.SUPPORTED.items():
        codes = [code for code in values.values() if code is not None]
        assert codes == [*range(len(codes))], key


def test_reasons_name_options_as_they_are_typed():
    """Each reason is one clause about one key."""
    reasons = list(support.refusals({"network.name": "table", "device": "cuda"}))
    assert reasons == ["does not run network=table, only mlp", "does not run device=cuda, only cpu"]
