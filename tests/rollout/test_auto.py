import pytest

from dqn_lab.build import build
from dqn_lab.records import identity
from dqn_lab.rollout.compiled import CompiledRollout


def test_auto_chooses_compiled_if_everything_has_a_kernel(configure):
    experiment = build(configure())
    assert type(experiment.rollout) is CompiledRollout
    assert experiment.choices["rollout"]._asdict() == {
        "name": "compiled",
        "reason": "everything in the composition has a kernel",
        "rejected": {"python": "slower than compiled"},
    }


@pytest.mark.parametrize("override", ["rollout=python", "rollout=compiled", "env.implementation=gymnasium"])
def test_rollout_and_implementation_are_not_part_of_a_jobs_identity(configure, override):
    assert identity(configure(override)) == identity(configure())
    assert identity(configure("seed=1", override)) != identity(configure("seed=2"))
