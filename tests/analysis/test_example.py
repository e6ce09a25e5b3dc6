"""The examples in the README of the analysis run as written."""

import re
from pathlib import Path

from dqn_lab import analysis

README = (Path(__file__).parents[2] / "dqn_lab" / "analysis" / "README.md").read_text(encoding="utf-8")
EXAMPLE, SHIPPED = [
    block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "dqn_lab.analysis" in block
]


def test_the_example_runs_on_the_runs_of_the_command_above_it(make_run, tmp_path, monkeypatch, capsys):
    for seed in range(10):
        for interval in (1, 10):
            final = 100.0 + 30 * interval + seed
            make_run(
                f"outputs/sweeps/interval/{interval},{seed}", seed=seed, final=final, **{"target.interval": interval}
            )
    monkeypatch.chdir(tmp_path)
    exec(EXAMPLE, {})
    assert (
        "“target.interval=1” is worse than “target.interval=10”: its mean final return is 270 lower ("
        in capsys.readouterr().out
    )


def test_the_example_of_shipped_results_prints_what_the_readme_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(SHIPPED, {})
    (shown,) = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    assert " ".join(shown.split()) in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "replay.png").stat().st_size > 10_000


def test_everything_that_is_exported_is_in_the_readme():
    named = set(re.findall(r"`(\w+)[`(]", README))
    assert {name for name in analysis.__all__ if name.islower()} <= named
