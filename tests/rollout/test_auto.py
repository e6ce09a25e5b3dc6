from dqn_lab.build import build
from dqn_lab.rollout.python import PythonRollout


def test_auto_steps_from_python_and_says_why(configure):
    experiment = build(configure())
    assert type(experiment.rollout) is PythonRollout
    assert experiment.choices["rollout"]._asdict() == {
        "name": "python", "reason": "runs every composition", "rejected": {},
    }  # fmt: skip


def test_a_rollout_is_no_part_of_what_a_job_is_known_by(configure):
    from dqn_lab.records import identity

    assert identity(configure("rollout=python")) == identity(configure("rollout=auto"))
    assert identity(configure("seed=1")) != identity(configure("seed=2"))
