import pytest

from dqn_lab.build import build
from dqn_lab.records import identity
from dqn_lab.rollout.python import PythonRollout


def test_auto_is_python_and_says_that_compiled_has_to_be_asked_for(configure):
    experiment = build(configure())
    assert type(experiment.rollout) is PythonRollout
    assert experiment.choices["rollout"]._asdict() == {
        "name": "python",
        "reason": "runs every composition",
        "rejected": {"compiled": "has to be asked for"},
    }


@pytest.mark.parametrize("override", ["rollout=python", "rollout=compiled", "env.implementation=auto"])
def test_a_rollout_and_an_implementation_are_no_part_of_what_a_job_is_known_by(configure, override):
    overrides = (override, "env.implementation=compiled") if override == "rollout=compiled" else (override,)
    assert identity(configure(*overrides)) == identity(configure())
    assert identity(configure("seed=1", *overrides)) != identity(configure("seed=2"))
