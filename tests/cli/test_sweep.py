"""`sweep`: what it writes, what it skips, what it runs again, and how it ends."""

import functools
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf
from rich.console import Console

from dqn_lab import interrupt, records
from dqn_lab.cli._text import score_text
from dqn_lab.cli.sweep import board, jobs, run, search
from dqn_lab.cli.sweep.board import Board, Watch, summary
from dqn_lab.cli.sweep.question import Question, Search
from dqn_lab.locks import Claim
from dqn_lab.records import read_record, write_record, write_sweep
from dqn_lab.tasks import find_task, task_name

SHORT = "episodes=6, evaluation.num_episodes=2, evaluation.final_num_episodes=2, logger=csv"
FILE = """# Does it work?
question: Does it work?
base: [{base}]
variants: {variants}
control: {control}
seeds: {seeds}
quick: {{seeds: [7]}}
"""


@pytest.fixture
def ask(cli, tmp_path, monkeypatch):
    """Writes a question's file and runs `sweep` on it, in this process unless a launcher is given."""
    for name in ("OMP", "MKL", "OPENBLAS", "VECLIB_MAXIMUM", "NUMBA"):
        monkeypatch.setenv(f"{name}_NUM_THREADS", "1")

    def call(*words, variants="{a: [target.interval=1], b: [target.interval=10]}", control="b", base=SHORT, text=FILE,
             seeds="range(0, 2)"):  # fmt: skip
        (tmp_path / "works.yaml").write_text(text.format(base=base, variants=variants, control=control, seeds=seeds))
        launcher = [] if any("launcher" in str(word) for word in words) else ["hydra/launcher=basic"]
        return cli("sweep", "works.yaml", *words, *launcher)

    return call


def read(directory):
    return json.loads((directory / "sweep.json").read_text())


def written(directory):
    """Returns the bytes of every run's tables by directory name."""
    tables = ("episodes.csv", "evaluations.csv")
    return {path.parent.name: [(path.parent / name).read_bytes() for name in tables]
            for path in directory.glob("*/run.json")}  # fmt: skip


@pytest.fixture
def home(tmp_path):
    return tmp_path / "outputs" / "sweeps" / "works"


def test_variants_take_turns_seed_by_seed_so_that_they_can_be_compared_early(ask, monkeypatch):
    order = []
    monkeypatch.setattr(run, "launch", lambda config, plan, jobs, directory: order.extend(jobs) or {})
    ask()
    assert [(job.seed, job.variant) for job in order] == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]


def test_a_sweep_records_its_question_and_its_runs(ask, home):
    outcome = ask()
    assert outcome.code == 0
    ledger = read(home)
    assert (ledger["name"], ledger["question"], ledger["control"]) == ("works", "Does it work?", "b")
    assert ledger["metric"] == "final_return"
    assert ledger["variants"] == {"a": ["target.interval=1"], "b": ["target.interval=10"]}
    assert ledger["seeds"] == [0, 1]
    assert set(ledger["versions"]) >= {"dqn_lab", "python", "torch"}
    assert ledger["command"].endswith("sweep works.yaml hydra/launcher=basic")
    assert [(job["variant"], job["seed"]) for job in ledger["jobs"]] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    for job in ledger["jobs"]:
        record = json.loads((home / job["directory"] / "run.json").read_text())
        assert record["status"] == "completed"
        assert record["seed"] == job["seed"]
        assert record["config"]["target"]["interval"] == {"a": 1, "b": 10}[job["variant"]]
        assert job["directory"].endswith(job["hash"])


def test_a_question_without_control_and_seeds_uses_defaults(ask, home, monkeypatch):
    monkeypatch.setattr(run, "launch", lambda config, plan, jobs, directory: {})
    text = FILE.replace("control: {control}\n", "").replace("seeds: {seeds}\n", "")
    out = ask(text=text).out
    assert out.startswith("60 of 60 jobs to run (default seeds: 1000 to 1029)")
    assert read(home)["control"] == "a"
    assert "default seeds" not in ask("seed=1,2", "--dir=other", text=text).out


def test_a_report_is_written_after_the_sweep_if_asked(ask, home):
    outcome = ask("--report")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert "question  Does it work?" in lines
    assert any(
        line.startswith("answer    Undecided: in these runs, the mean final return of “a” is ") for line in lines
    )
    assert not any(line.startswith("next") for line in lines)
    assert (home / "report" / "index.html").is_file()


def test_the_end_says_how_each_variant_did_and_what_to_type_next(ask):
    lines = ask().out.splitlines()
    assert "4 of 4 jobs completed" in lines
    (line,) = (line for line in lines if line.startswith("a  mean final return "))
    assert re.search(r" \(95 %: [\d.]+ to [\d.]+\)  0 of 2 at 475 or more$", line)
    assert lines[-1] == "next      python -m dqn_lab report outputs/sweeps/works"


@pytest.mark.parametrize(("metric", "said"), [
    ("last_100", r"a  mean training return [\d.]+ \(95 %: [\d.]+ to [\d.]+\) over 2 runs"),
    ("wall_seconds", r"a  mean wall time in seconds [\d.]+ \(95 %: [\d.]+ to [\d.]+\) over 2 runs"),
    ("mean_return", r"a  mean return over the whole run [\d.]+ \(95 %: [\d.]+ to [\d.]+\) over 2 runs"),
])  # fmt: skip
def test_the_end_is_about_the_questions_metric(ask, metric, said):
    text = FILE.replace("control:", f"metric: {metric}\ncontrol:")
    lines = ask("evaluation.interval=2", text=text).out.splitlines()
    assert any(re.fullmatch(said, line) for line in lines), lines
    assert not any("final return" in line for line in lines)


@pytest.mark.parametrize("words", [("--quick",), ("seed=7",)])
def test_a_report_of_the_short_form_says_so(ask, tmp_path, words):
    ask(*words, "--report", "--dir", "here")
    page = (tmp_path / "here/report/index.html").read_text(encoding="utf-8")
    assert ("its full form may have another answer" in page) == (words == ("--quick",))


def test_a_metric_that_no_run_has_is_named(ask):
    text = FILE.replace("control:", "metric: mean_return\ncontrol:")
    lines = ask("seed=0", text=text).out.splitlines()
    assert "note      no run has a return over the whole run; these are final returns" in lines


def test_the_end_is_about_the_jobs_of_this_sweep_only(ask, home):
    text = FILE.replace("control:", "metric: last_100\ncontrol:")
    ask("seed=0,1,2", text=text)
    (line,) = (line for line in ask("seed=1", text=text).out.splitlines() if line.startswith("a  mean"))
    score = json.loads(next(home.glob("target.interval=1,seed=1-*/run.json")).read_text())["scores"]["last_100"]
    assert line == f"a  mean training return {score_text(score)} over 1 run"


def test_a_metric_or_control_that_changes_after_runs_completed_is_on_record(ask, home):
    ask("seed=0")
    assert "earlier" not in read(home)
    outcome = ask("seed=0", control="a", text=FILE.replace("control:", "metric: last_100\ncontrol:"))
    said = "metric was final_return, is now last_100, control was b, is now a: changed after 2 runs had completed;"
    assert said in " ".join(outcome.err.split())
    assert read(home)["earlier"] == [{"metric": "final_return", "control": "b", "completed": 2}]
    again = ask("seed=0,1", "--report", control="a", text=FILE.replace("control:", "metric: last_100\ncontrol:"))
    assert "changed after" not in again.err
    assert len(read(home)["earlier"]) == 1
    page = (home / "report" / "index.html").read_text(encoding="utf-8")
    assert "The question was changed after 2 runs had completed: the metric from" in page


def test_variants_stay_in_the_questions_order_when_one_is_added(ask, home):
    ask("seed=0", variants="{a: [target.interval=1], b: [target.interval=10]}")
    ask("seed=0", variants="{a: [target.interval=1], c: [target.interval=5], b: [target.interval=10]}")
    assert list(read(home)["variants"]) == ["a", "c", "b"]
    ask("seed=0", variants="{b: [target.interval=10], d: [target.interval=7]}")
    assert list(read(home)["variants"]) == ["b", "d", "a", "c"]


def test_a_run_that_was_made_longer_is_run_again(ask, cli, home):
    ask("seed=0")
    (directory,) = home.glob("target.interval=10,seed=0-*")
    assert cli("resume", directory, "episodes=8").code == 0
    out = ask("seed=0", "--dry-run").out
    assert f"run again: other settings  {directory.name}" in out.splitlines()


def test_the_same_sweep_again_runs_nothing(ask, home):
    ask()
    before = {path: path.stat().st_mtime_ns for path in home.glob("*/*")}
    outcome = ask()
    assert outcome.code == 0
    assert "0 of 4 jobs to run, 4 completed already" in outcome.out
    assert before == {path: path.stat().st_mtime_ns for path in home.glob("*/*")}


def test_renamed_runs_are_not_run_again(ask, home):
    ask()
    for path in [path.parent for path in home.glob("*/run.json")]:
        path.rename(path.with_name(f"older.name-{path.name.rpartition('-')[2]}"))
    again = ask()
    assert again.out.startswith("0 of 4 jobs to run, 4 completed already")
    assert again.code == 0


def test_more_seeds_are_added_to_an_existing_sweep(ask, home):
    ask("seed=0")
    outcome = ask("seed=range(0,3)")
    assert "4 of 6 jobs to run, 2 completed already" in outcome.out
    assert read(home)["seeds"] == [0, 1, 2]
    fewer = ask("seed=1")
    assert "0 of 2 jobs to run" in fewer.out
    assert len(read(home)["jobs"]) == 6


def test_the_recorded_command_grows_only_if_jobs_are_added(ask, home):
    ask("seed=0")
    first = read(home)
    ask("seed=0", "hydra/launcher=basic")
    assert read(home) == first
    ask("seed=range(0,2)")
    assert read(home)["command"].startswith(f"{first['command']} && ")
    assert read(home)["command"].count(" && ") == 1


def test_a_finished_sweep_writes_nothing(ask, home):
    ask()
    (home / ".lock").unlink(missing_ok=True)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    outcome = ask()
    assert (outcome.code, outcome.err) == (0, "")
    assert "0 of 4 jobs to run, 4 completed already" in outcome.out
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_a_failed_job_stops_no_other_and_is_run_again(ask, home):
    variants = "{good: [], bad: [optimizer=sgd, optimizer.lr=1e6]}"
    outcome = ask(variants=variants, control="good")
    assert outcome.code == 1
    assert "2 of 4 jobs completed" in outcome.out
    assert outcome.out.count("  failed: optimizer=sgd,optimizer.lr=1e6,seed=") == 2
    assert "the loss became" in outcome.out
    kept = written(home)
    again = ask(variants=variants, control="good")
    assert again.code == 1
    assert "2 of 4 jobs to run, 2 completed already, 2 again" in again.out
    aside = {name.removesuffix(".attempt1"): rows for name, rows in written(home).items() if "attempt" in name}
    assert aside == {name: rows for name, rows in kept.items() if "sgd" in name}


def test_a_sweep_that_was_resumed_with_new_variants_can_be_resumed_again(ask, cli, home):
    """Its record holds the commands that `resume` repeats, not `resume` itself."""
    ask("--dir", home)
    command, works = read(home)["command"], home.parents[2] / "works.yaml"
    works.write_text(works.read_text().replace("variants: {", "variants: {c: [value=huber], "))
    moved = home.rename(home.with_name("moved"))
    assert "2 of 6 jobs to run, 4 completed already" in cli("resume", moved).out
    assert (read(moved)["command"], len(read(moved)["jobs"])) == (command, 6)
    outcome = cli("resume", moved)
    assert (outcome.code, outcome.err) == (0, "")
    assert "0 of 6 jobs to run, 6 completed already" in outcome.out
    assert not home.exists()


def test_each_command_of_a_sweep_is_repeated_once(ask, cli, home):
    for words in ((), ("seed=5", "--report"), ("seed=6",), ("seed=5", "--report")):
        ask(*words, "--dir", home, seeds="[0]")
    assert read(home)["command"].count(" && ") == 2
    shutil.rmtree(home / read(home)["jobs"][0]["directory"])
    out = cli("resume", home).out
    assert "1 of 2 jobs to run, 1 completed already" in out
    assert out.count("0 of 2 jobs to run, 2 completed already") == 2


@pytest.mark.parametrize("command", [
    "dqn_lab.sweep('a sweep b', variants={it: []}, note='it)", "dqn_lab.sweep('a sweep b')", "", "dqn-lab sweep",
    "dqn-lab report sweep", "dqn-lab sweep works.yaml && dqn_lab.sweep('works')", "dqn-lab evaluate ' sweep a'",
])  # fmt: skip
def test_a_sweep_without_a_repeatable_command_names_what_made_it(cli, tmp_path, command):
    ledger = {"name": "a", "question": "What?", "command": command, "variants": {}, "seeds": [], "jobs": [], "base": []}
    (tmp_path / "sw").mkdir()
    write_sweep(tmp_path / "sw", ledger)
    outcome = cli("resume", "sw")
    said = "error: sw/sweep.json: does not record commands that can be repeated; run what it records again: "
    assert (outcome.code, outcome.problems) == (2, [f"{said}{command}".rstrip()])
    write_sweep(tmp_path / "sw", {key: value for key, value in ledger.items() if key != "command"})
    assert cli("resume", "sw").problems == [said.rstrip()]


@pytest.mark.parametrize(("checkpoints", "said"), [(True, "1 resumed"), (False, "1 again; their earlier attempts")])
def test_an_interrupted_job_continues_and_loses_no_rows(ask, home, checkpoints, said):
    ask()
    job = home / read(home)["jobs"][0]["directory"]
    record = json.loads((job / "run.json").read_text())
    rows = (job / "episodes.csv").read_bytes()
    (job / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    if not checkpoints:
        shutil.rmtree(job / "checkpoint")
    assert f"{'resume' if checkpoints else 'run again: interrupted'}  " in ask("--dry-run").out
    outcome = ask()
    assert outcome.code == 0
    assert f"1 of 4 jobs to run, 3 completed already, {said}" in outcome.out
    aside = job.with_name(f"{job.name}.attempt1")
    assert aside.exists() == (not checkpoints)
    assert checkpoints or (aside / "episodes.csv").read_bytes() == rows
    assert (job / "episodes.csv").read_bytes() == rows


@pytest.mark.parametrize(("checkpoints", "kept"), [(True, 4), (False, 3)])
def test_a_run_that_starts_over_is_not_counted_among_those_that_are_kept(ask, home, monkeypatch, checkpoints, kept):
    ask()
    job = home / read(home)["jobs"][0]["directory"]
    record = json.loads((job / "run.json").read_text())
    (job / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    if not checkpoints:
        shutil.rmtree(job / "checkpoint")
    monkeypatch.setattr("dqn_lab.cli.sweep.ledger.changed_since", lambda record: ["mine"])
    said = ask("--dry-run").err
    assert said.startswith(f"warning: mine has changed since {kept} runs here began, which are kept")


def test_a_job_whose_checkpoints_are_all_damaged_starts_over(ask, home):
    ask()
    job = home / read(home)["jobs"][0]["directory"]
    record = json.loads((job / "run.json").read_text())
    rows = (job / "episodes.csv").read_bytes()
    (job / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    for path in (job / "checkpoint").iterdir():
        path.write_bytes(b"damaged")
    assert ask().code == 0
    assert (job / "episodes.csv").read_bytes() == rows
    assert (job / ".hydra" / "config.yaml").is_file()
    assert (job.with_name(f"{job.name}.attempt1") / "episodes.csv").read_bytes() == rows


@pytest.mark.parametrize("is_there", [False, True])
def test_a_run_counts_as_running_while_its_directory_is_locked(ask, home, is_there):
    """Its process id does not decide, because it may be reused."""
    ask()
    job = home / read(home)["jobs"][0]["directory"]
    record = json.loads((job / "run.json").read_text())
    (job / "run.json").write_text(json.dumps({**record, "status": "running", "pid": os.getppid()}))
    claim = Claim(job, "") if is_there else None
    outcome = ask()
    assert f"{0 if is_there else 1} of 4 jobs to run, 3 completed already" in outcome.out
    assert outcome.code == int(is_there)
    if claim:
        claim.release()


def test_a_run_that_two_variants_need_is_made_once(ask, home):
    outcome = ask(variants="{default: [], ten: [target.interval=10]}", control="ten")
    assert "2 of 2 jobs completed" in outcome.out
    jobs = read(home)["jobs"]
    assert len(jobs) == 4
    assert len({job["directory"] for job in jobs}) == 2
    assert len(written(home)) == 2


def test_a_dry_run_lists_the_jobs_and_writes_nothing(ask, home, tmp_path):
    outcome = ask("--dry-run")
    assert outcome.code == 0
    assert len([line for line in outcome.out.splitlines() if line.startswith("run ")]) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["works.yaml"]
    ask("seed=0")
    again = ask("--dry-run").out
    assert again.count("skip: completed") == 2
    assert "2 of 4 jobs to run in outputs/sweeps/works" in again


def test_the_quick_form_and_other_overrides_have_their_own_directories(ask, tmp_path):
    ask("--quick")
    ask("seed=0", "discount=0.9")
    ask("seed=0", "--dir", "elsewhere")
    assert {path.name for path in (tmp_path / "outputs" / "sweeps").iterdir()} == {
        "works_quick", "works,discount=0.9",
    }  # fmt: skip
    assert {job["seed"] for job in read(tmp_path / "outputs" / "sweeps" / "works_quick")["jobs"]} == {7}
    assert read(tmp_path / "outputs" / "sweeps" / "works,discount=0.9")["base"][-1] == "discount=0.9"
    assert read(tmp_path / "elsewhere")["seeds"] == [0]


def test_a_directory_holds_one_sweep(ask):
    ask("seed=0", "--dir", "here")
    other = ask("seed=0", "--dir", "here", "discount=0.9")
    assert other.code == 2
    assert "/here: holds a sweep over [episodes=6 " in other.err
    changed = ask("seed=0", "--dir", "here", variants="{a: [target.interval=2]}", control="a")
    assert "/here: variant 'a' is [target.interval=1] there; give the changed variant another label, or" in changed.err
    renamed = ask("seed=0", "--dir", "here", variants="{c: [target.interval=2]}", control="c")
    assert renamed.code == 0
    said = "variants 'a', 'b': no longer in the question, but runs are here, which the report includes"
    assert said in " ".join(renamed.err.split())
    assert "variant 'c': no longer" in " ".join(ask("seed=0", "--dir", "here").err.split())


def test_without_a_name_the_questions_are_listed(cli):
    outcome = cli("sweep")
    assert outcome.code == 0
    assert "target_interval How often should the target network be copied?" in " ".join(outcome.out.split())


def test_a_sweep_is_listed_and_explained_without_hydra():
    for words in (["sweep"], ["sweep", "--help"], ["--help"]):
        code = f"import sys; from dqn_lab.cli import main\ntry: main({words})\nfinally: print('hydra' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "False"


MISTAKES = [
    (("target.intervall=3",), {}, "every variant: target.intervall=3: no such key; did you mean interval?"),
    (("target.interval=3",), {}, "target.interval=3: is what works compares; leave it out"),
    (("discount=0.9,0.8",), {}, "discount=0.9,0.8: several values belong in the question's file"),
    (("seed=0,0",), {}, "seed=0,0: 0 occurs twice"),
    (("seed=-1",), {}, "seed=-1: must be whole numbers of at least 0"),
    (("seed=__import__('os')",), {}, "seed=__import__('os'): must be whole numbers of at least 0"),
    (("hydra/launcher=jobbib",), {}, "hydra/launcher=jobbib: no such option; did you mean joblib?"),
    (("--dir=/dev/null/sweep",), {}, "/dev/null/sweep: cannot be written: Not a directory"),
    (("--qick",), {}, "unrecognized arguments: --qick"),
    ((), {"variants": "{a: [], b: [target.intervall=3]}"},
     "variant 'b': target.intervall=3: no such key; did you mean interval?"),
    ((), {"variants": "{a: [], b: [buffer.capacity=0]}"}, "variant 'b': buffer.capacity=0: must be greater than 0"),
    ((), {"seeds": "5"}, "works.yaml: seeds=5: write range(5) for 5 seeds, or [5] for this one"),
    ((), {"seeds": "'5'"}, "works.yaml: seeds=5: write range(5) for 5 seeds, or [5] for this one"),
    ((), {"base": "{logger: csv}"}, "works.yaml: base: an override is written with an equals sign: logger=csv"),
    ((), {"base": "", "text": FILE.replace("base: [{base}]", "base: {{network: {{hidden: [8]}}}}")},
     'works.yaml: base={"network": {"hidden": [8]}}: must be a list of overrides: ["network.hidden=[8]"]'),
    ((), {"variants": "[optimizer=adam, optimizer=sgd]"},
     'works.yaml: variants: each needs a label; write {"adam": ["optimizer=adam"], "sgd": ["optimizer=sgd"]}'),
    ((), {"variants": "[a: [optimizer=adam], b: []]"},
     'works.yaml: variants: each needs a label; write {"a": ["optimizer=adam"], "b": []}'),
    ((), {"variants": "{a: null}"}, "works.yaml: variants.a=: must be a list of overrides: []"),
    ((), {"control": "c"}, "works.yaml: control=c: no such variant; choices: a, b"),
    ((), {"variants": "{10: []}"}, "works.yaml: variants.10: a label is text; put it in quotes: '10'"),
    ((), {"variants": "{a: target.interval=3}"},
     'works.yaml: variants.a=target.interval=3: must be a list of overrides: ["target.interval=3"]'),
    ((), {"variants": "{}"}, "works.yaml: nothing: exactly one of variants, grid and search must be given"),
    ((), {"text": FILE + "contrl: x\n"}, "works.yaml: contrl=x: no such key; did you mean control?"),
    ((), {"text": "# no\nbase: []\nvariants: {{a: []}}\ncontrol: a\n"}, "works.yaml: question: must be given"),
    ((), {"text": "question: [\n"}, "works.yaml: not valid yaml: "),
    ((), {"variants": "{a: [network.hidden=[16,16]], b: []}"},
     "works.yaml: not valid yaml: line 4: did not find expected ',' or ']'; put an override with brackets in quotes: "
     "'network.hidden=[16,16]'"),
    (("display=nono",), {}, "display=nono: no such choice; did you mean none?"),
    ((), {"text": "- a list\n"}, "works.yaml: holds no keys"),
    ((), {"text": FILE + "control: b\n"}, "works.yaml: not valid yaml: "),
    ((), {"text": FILE + "metric: final_retrun\n"},
     "works.yaml: metric=final_retrun: no such metric; did you mean final_return?"),
    ((), {"variants": "{a: [seed=3], b: []}"}, "works.yaml: variants.a: seed=3: set it under seeds:"),
    ((), {"base": f"{SHORT}, hydra.sweep.dir=x"}, "works.yaml: base: hydra.sweep.dir=x: write it after"),
    ((), {"text": "question: Which?\nsearch: {{params: {{network: 'choice(mlp24,mlp42)'}}}}\n"},
     "search.params: network=mlp42: no such option; did you mean mlp64?"),
    ((), {"text": "question: Which?\nsearch: {{params: {{train.interval: 'range(3,3)'}}}}\n"},
     "search.params.train.interval=range(3,3): has no values"),
    pytest.param((), {"text": "question: Which?\nsearch: {{params: {{network: 'choice(mlp24,mlp64)'}}}}\n"},
                 'hydra/sweeper=optuna: needs an extra: pip install "dqn-lab[optuna]"',
                 marks=pytest.mark.skipif(find_spec("optuna") is not None, reason="the extra is installed")),
    (("network.hidden=[8,8]",), {"variants": "{a: [network=mlp24], b: [network=mlp64]}"},
     "variants 'a' and 'b' are the same runs: they set only defaults, or what is set for every run: net"),
    pytest.param(("hydra/launcher=slurm", "hydra.launcher.partition=cpu"), {},
                 'hydra/launcher=slurm: needs an extra: pip install "dqn-lab[submitit]"',
                 marks=pytest.mark.skipif(find_spec("submitit") is not None, reason="the extra is installed")),
    pytest.param(("hydra/launcher=ray_local",), {},
                 'hydra/launcher=ray_local: needs an extra: pip install "dqn-lab[ray]"',
                 marks=pytest.mark.skipif(find_spec("ray") is not None, reason="the extra is installed")),
]  # fmt: skip


@pytest.mark.parametrize(("words", "change", "expected"), MISTAKES, ids=lambda item: str(item)[:40])
def test_a_mistake_is_reported_in_one_line_before_anything_runs(ask, tmp_path, words, change, expected):
    outcome = ask(*words, **change)
    assert outcome.code == 2
    assert outcome.out == ""
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"error: {expected}")
    assert [path.name for path in tmp_path.iterdir()] == ["works.yaml"]


def test_a_sweep_without_a_display_shows_only_its_results(ask):
    """The display is not part of the directory's name, so the same jobs are not run again to be seen."""
    ask("seed=0")
    for words in (("display=none",), ()):
        outcome = ask("seed=0", *words)
        assert outcome.code == 0
        assert ("2 completed already" in outcome.out) == (not words)
        assert "2 of 2 jobs completed" in outcome.out


def test_a_grid_may_have_lists(ask):
    text = "question: Which?\nbase: [{base}]\ngrid: {{network.hidden: [[8, 8], [16]]}}\nseeds: [0]\n"
    outcome = ask("--dry-run", text=text)
    assert outcome.code == 0, outcome.err
    assert "network.hidden=8,8,seed=0-" in outcome.out


def test_a_grid_may_have_schedules(ask):
    schedule = "{{start: 1e-3, end: 0, duration: 50, unit: steps}}"
    text = f"question: Which?\nbase: [{{base}}]\ngrid: {{{{optimizer.lr: [0.001, {schedule}]}}}}\nseeds: [0]\n"
    outcome = ask(text=text)
    assert outcome.code == 0, outcome.err
    assert "lr={start:0.001,end:0,duration:50,unit:steps}  mean final return" in outcome.out


def test_every_mistake_of_a_question_is_reported_at_once(ask):
    outcome = ask(control="c", variants="{a: [optimizer=adamm], b: [bootstrap=doubl]}")
    assert [line.split(";")[0] for line in outcome.problems] == [
        "error: works.yaml: control=c: no such variant",
        "error: variant 'a': optimizer=adamm: no such option",
        "error: variant 'b': bootstrap=doubl: no such option",
    ]


def test_every_mistake_of_a_file_is_reported_at_once(ask):
    outcome = ask(seeds="range(0,3", control="c", text=FILE + "metric: final_retrun\n")
    assert [line.split(";")[0].split(": ", 2)[2] for line in outcome.problems] == [
        "seeds=range(0,3: must be whole numbers of at least 0, as in range(1000,1030) or 0,1,2",
        "metric=final_retrun: no such metric",
        "control=c: no such variant",
    ]
    outcome = ask(seeds="5", variants="{a: {target.interval: 3}}", text=FILE + "contrl: a\n")
    assert [line.split(": ")[2].split("=")[0] for line in outcome.problems] == ["seeds", "variants.a", "contrl"]


def test_two_jobs_whose_hashes_are_equal_by_chance_are_not_taken_for_one_run(ask, monkeypatch):
    monkeypatch.setattr(jobs, "identity", lambda config: "0000abcd")
    outcome = ask("--dry-run", variants="{a: []}", control="a", seeds="[3, 5]")
    said = "seed=3 of 'a' and seed=5 of 'a': have the same hash, 0000abcd, by chance; leave one of them out"
    assert (outcome.code, outcome.problems) == (2, [f"error: {said}"])


def test_warnings_name_the_variants_they_concern(ask, monkeypatch):
    monkeypatch.delenv("DQN_LAB_WARNED", raising=False)
    outcome = ask("--dry-run", variants="{plain: [], noisy: [network.noisy=true], same: []}", control="plain")
    warnings = [line for line in outcome.err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert warnings[0].startswith("warning: variant 'noisy': network.noisy=true, exploration=")
    assert warnings[1] == "warning: variants 'plain' and 'same' are the same runs"


def test_a_variant_may_set_an_environments_own_arguments(ask):
    outcome = ask("--dry-run", variants="{a: [env.kwargs.sutton_barto_reward=true], b: []}")
    assert (outcome.code, outcome.err) == (0, "")


def test_an_interrupted_search_records_its_runs(ask, tmp_path, monkeypatch):
    """A fake sweeper finishes one run, then raises KeyboardInterrupt."""
    home, place = tmp_path / "outputs/sweeps/works", tmp_path / "search"

    class Interrupted:
        def sweep(self, arguments):
            (run,) = home.glob("*/run.json")
            run.rename(place / "one" / "run.json")
            raise KeyboardInterrupt

    ask("seed=0", variants="{b: []}")
    (place / "one").mkdir(parents=True)
    searched = Search(params={"target.interval": "choice(3, 10)"}, num_trials=2, num_parallel=1)
    parts = {
        "name": "works",
        "question": "Which?",
        "base": [],
        "variants": {},
        "control": None,
        "metric": "final_return",
    }
    question = Question(**parts, seeds=[0], search=searched)
    monkeypatch.setattr(search._hydra, "context", lambda config: None)
    plugins = type("Plugins", (), {"instantiate_sweeper": lambda self, **parts: Interrupted()})
    monkeypatch.setattr(search.Plugins, "instance", plugins)
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(place)}}})
    with pytest.raises(KeyboardInterrupt):
        search.run_search(config, question, searched, [], {"name": "works"})
    assert [job["directory"] for job in read(place)["jobs"]] == ["one"]


def test_an_unknown_key_is_found_in_the_first_variant(ask, monkeypatch):
    composed = []
    compose = jobs.compose_config
    monkeypatch.setattr(jobs, "compose_config", lambda words, number: composed.append(words) or compose(words, number))
    outcome = ask("lr=1", "discount=2", "target.intervall=3")
    assert [line.partition("; ")[0] for line in sorted(outcome.problems)] == [
        "error: every variant: discount=2: must be less than or equal to 1",
        "error: every variant: lr=1: no such key",
        "error: every variant: target.intervall=3: no such key",
    ]
    assert len(composed) == 1
    (line,) = ask("network.bins=3").problems
    assert line.startswith("error: every variant: network.bins=3: no such key here; did you mean network=table ")
    assert len(composed) == 1 + 2


def test_every_mistake_in_a_sweep_is_reported_at_once(ask):
    outcome = ask(variants="{a: [optimizer.lr=-1], b: [seeed=1], c: [target.interval=0]}")
    assert len(outcome.problems) == 3


@pytest.mark.parametrize(("name", "expected"), [
    ("target_intervall", "target_intervall: no such question; did you mean target_interval?"),
    ("nowhere.yaml", "nowhere.yaml: no such file"),
    ("nowhere.ymal", "nowhere.ymal: no such file"),
])  # fmt: skip
def test_a_question_that_does_not_exist_is_named(cli, name, expected):
    outcome = cli("sweep", name)
    assert (outcome.code, len(outcome.problems)) == (2, 1)
    assert outcome.err.startswith(f"error: {expected}")


def test_another_sweep_in_the_same_directory_is_refused(ask, home):
    from filelock import FileLock

    ask("seed=0")
    with FileLock(home / ".lock"):
        outcome = ask("seed=1")
    assert (outcome.code, outcome.err) == (2, f"error: {home}: another sweep is running there\n")


def test_a_damaged_sweep_json_is_reported(ask, home):
    ask("seed=0")
    (home / "sweep.json").write_text('{"jobs": [')
    assert ask("seed=0").err.startswith(f"error: {home}/sweep.json: damaged")


@pytest.mark.parametrize("earlier", [5, "abc", [1], [{"metric": ["x"], "control": None, "completed": 1}],
                                     [{"metric": "x", "control": None}]])  # fmt: skip
def test_damaged_former_metrics_are_reported(ask, cli, home, earlier):
    ask("seed=0")
    (home / "sweep.json").write_text(json.dumps({**read(home), "earlier": earlier}))
    outcome = ask("seed=0")
    assert outcome.code == 2
    assert "sweep.json: damaged: earlier must be a list of objects with a metric" in outcome.err
    assert cli("report", home).code == 0  # without the damaged file


@pytest.fixture
def launches(monkeypatch):
    """Returns a function that replaces what Hydra's launcher does; it is given the launcher's own method first."""
    instantiate = Plugins.instantiate_launcher

    def replace(own):
        def instantiated(self, *args):
            launcher = instantiate(self, *args)
            launcher.launch = functools.partial(own, launcher.launch)
            return launcher

        monkeypatch.setattr(Plugins, "instantiate_launcher", instantiated)

    return replace


def test_a_job_whose_process_dies_does_not_stop_the_sweep(ask, home, launches):
    """A killed worker ends joblib's pool; the jobs that had not begun are launched again."""
    killed = []

    def one_dies(launch, job_overrides, initial_job_idx):
        if not killed:
            killed.append(launch(job_overrides[:1], initial_job_idx))
            (path,) = home.glob("*/run.json")
            records.write_record(path.parent, {**json.loads(path.read_text()), "status": "running", "pid": 2**22 + 1})
            raise RuntimeError("a worker was killed")
        return launch(job_overrides, initial_job_idx)

    launches(one_dies)
    outcome = ask()
    assert len(killed) == 1
    assert outcome.code == 0
    assert "4 of 4 jobs completed" in outcome.out


def test_a_job_that_kills_its_worker_each_time_fails_by_itself(ask, home, launches, monkeypatch):
    # the killed job is one that completed, whose record is then changed: the board must not look in between
    monkeypatch.setattr(board, "EVERY", 3600.0)

    def dies(launch, job_overrides, initial_job_idx):
        for overrides in job_overrides:
            returns = launch([overrides], initial_job_idx)
            if any("seed=1" in text for text in overrides) and any("=10" in text for text in overrides):
                (path,) = home.glob("*10,seed=1*/run.json")
                record = {**json.loads(path.read_text()), "status": "running", "pid": 2**22 + 1}
                records.write_record(path.parent, record)
                raise RuntimeError("a worker was killed")
        return returns if len(job_overrides) == 1 else [None] * len(job_overrides)

    launches(dies)
    outcome = ask()
    assert outcome.code == 1
    assert "3 of 4 jobs completed" in outcome.out
    assert "target.interval=10,seed=1" in outcome.out
    assert "its worker died: RuntimeError: a worker was killed" in outcome.out


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [
    "joblib",
    pytest.param("submitit_local", marks=pytest.mark.skipif(
        find_spec("submitit") is None, reason='pip install "dqn-lab[submitit]"')),
    pytest.param("ray_local", marks=pytest.mark.skipif(find_spec("ray") is None, reason='pip install "dqn-lab[ray]"')),
])  # fmt: skip
def test_results_do_not_depend_on_the_launcher_or_the_order(ask, tmp_path, launcher):
    assert ask("--dir", "one", f"hydra/launcher={launcher}").code == 0
    reversed_ = "{b: [target.interval=10], a: [target.interval=1]}"
    assert ask("--dir", "two", "seed=1,0", variants=reversed_).code == 0
    assert written(tmp_path / "one") == written(tmp_path / "two") != {}
    assert len(written(tmp_path / "one")) == 4


@pytest.mark.slow
@pytest.mark.parametrize(("launcher", "number"), [
    pytest.param("submitit_local", signal.SIGUSR2, id="submitit: preempted", marks=pytest.mark.skipif(
        find_spec("submitit") is None, reason='pip install "dqn-lab[submitit]"')),
    pytest.param("ray_local", signal.SIGKILL, id="ray: its worker dies", marks=pytest.mark.skipif(
        find_spec("ray") is None, reason='pip install "dqn-lab[ray]"')),
])  # fmt: skip
def test_a_job_that_its_launcher_requeues_is_resumed(ask, tmp_path, launcher, number):
    base = "episodes=null, steps=40_000, logger=csv, checkpoint.interval=500, checkpoint.unit=steps"
    assert ask("--dir", "whole", "seed=0", variants="{a: []}", control="a", base=base).code == 0
    launch = f"hydra/launcher={launcher}"
    words = [sys.executable, "-m", "dqn_lab", "sweep", "works.yaml", "seed=0", "--dir", "here", launch]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline, saved = time.monotonic() + 600, []
        while not saved and time.monotonic() < deadline:
            time.sleep(0.02)
            saved = list((tmp_path / "here").glob("*/checkpoint/0*.safetensors"))
        run = saved[0].parents[1]
        os.kill(json.loads((run / "run.json").read_text())["pid"], number)
        _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert "resumed" in json.loads((run / "run.json").read_text())
    assert written(tmp_path / "here") == written(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_sweep_marks_every_run_as_interrupted(tmp_path, number, code):
    parts = {"base": "episodes=100_000, logger=csv", "variants": "{a: [], b: [target.interval=2]}", "control": "a"}
    text = FILE.format(**parts, seeds="range(0, 2)")
    (tmp_path / "works.yaml").write_text(text)
    words = [sys.executable, "-m", "dqn_lab", "sweep", "works.yaml", "--dir", "here"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 600
        while not list((tmp_path / "here").glob("*/episodes.csv")) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert errors.splitlines()[-1] == "error: interrupted; run the same command again to continue"
    statuses = {json.loads(path.read_text())["status"] for path in (tmp_path / "here").glob("*/run.json")}
    assert statuses == {"interrupted"}


SEARCH = """question: Which?
base: [{base}]
search: {{params: {{target.interval: "choice(1, 10, 100)"}}, num_trials: 3, num_parallel: 1}}
seeds: range(0, 2)
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("optuna") is None, reason='pip install "dqn-lab[optuna]"')
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_stopped_search_ends_as_if_it_had_not_been_stopped(ask, tmp_path, monkeypatch, share):
    """It is stopped at a safe point after a share of all safe points."""
    seen, stop = [0], [0]

    def check():
        seen[0] += 1
        if seen[0] == stop[0]:
            raise interrupt.Interrupted(15, safe=True)

    with monkeypatch.context() as patch:
        patch.setattr(interrupt, "check", check)
        assert ask("--dir", "whole", text=SEARCH).code == 0
        seen[0], stop[0] = 0, 1 + int(share * seen[0])
        stopped = ask("--dir", "stopped", text=SEARCH)
    assert (stopped.code, stopped.problems) == (143, ["error: interrupted; run the same command again to continue"])
    assert ask("--dir", "stopped", text=SEARCH).code == 0
    assert written(tmp_path / "stopped") == written(tmp_path / "whole")
    jobs = [read(tmp_path / name)["jobs"] for name in ("stopped", "whole")]
    assert jobs[0] == jobs[1]


def test_the_trials_of_a_search_are_ranked_and_those_with_a_failed_run_come_last(cli, tmp_path):
    assert cli("train", "-m", *SHORT.split(", "), "discount=0.8,0.9,0.7", "hydra.sweep.dir=found").code == 0
    for job in search.collect(tmp_path / "found", ["discount"])["jobs"]:
        record = read_record(tmp_path / "found" / job["directory"])
        record["scores"]["final"]["return_mean"] = 100 * record["config"]["discount"]
        record["status"] = "failed" if record["config"]["discount"] == 0.9 else "completed"
        write_record(tmp_path / "found" / job["directory"], record)
    ranked = list(search.collect(tmp_path / "found", ["discount"])["variants"])
    assert ranked == ["discount=0.8", "discount=0.7", "discount=0.9"]


def test_trials_of_a_search_that_hardly_differ_are_not_merged(cli, tmp_path):
    """Labels are rounded unless two trials would share one."""
    options = [*SHORT.split(", "), "discount=0.98001,0.98002,0.97", "hydra.sweep.dir=found"]
    assert cli("train", "-m", *options).code == 0
    found = search.collect(tmp_path / "found", ["discount"])
    assert found["variants"] == {f"discount={text}": [f"discount={text}"] for text in ("0.97", "0.98001", "0.98002")}
    assert sorted(job["variant"] for job in found["jobs"]) == sorted(found["variants"])
    (last,) = (job["directory"] for job in found["jobs"] if job["variant"] == "discount=0.98002")
    shutil.rmtree(tmp_path / "found" / last)
    assert set(search.collect(tmp_path / "found", ["discount"])["variants"]) == {"discount=0.97", "discount=0.98"}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("optuna") is None, reason='pip install "dqn-lab[optuna]"')
def test_a_search_runs_every_seed_and_repeats_nothing(ask, home):
    first = ask(text=SEARCH)
    assert first.code == 0
    jobs = read(home)["jobs"]
    assert {job["seed"] for job in jobs} == {0, 1}
    before = written(home)
    assert ask(text=SEARCH).code == 0
    assert written(home) == before


def test_the_time_left_is_estimated_without_the_first_job_which_compiles(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(board.time, "perf_counter", lambda: now[0])
    record = {"status": "completed", "config": {"env": {"name": "gymnasium"}, "seed": 1}, "scores": {}}
    write_record(tmp_path / "0", record)
    found = Board("?", [SimpleNamespace(variant="a", directory=str(number)) for number in range(6)], tmp_path)
    said = [found.so_far()]
    for number, when in enumerate((100.0, 110.0, 120.0, 130.0, 140.0), start=1):
        write_record(tmp_path / str(number), record)
        now[0] = when
        found.look()
        said.append(found.so_far())
    assert said == [
        "1 of 6 jobs", "2 of 6 jobs", "3 of 6 jobs, 0:30 left", "4 of 6 jobs, 0:20 left", "5 of 6 jobs, 0:10 left",
        "6 of 6 jobs",
    ]  # fmt: skip


@pytest.mark.parametrize(("env", "threshold"), [
    ({"name": "gymnasium", "id": "CartPole-v1"}, 475.0),
    ({"name": "gymnasium", "id": "CartPole-v1", "max_episode_steps": 100}, None),
    ({"name": "gymnasium", "id": "LunarLander-v3"}, 200.0),
    ({"name": "gymnasium", "id": "Taxi-v4"}, None),
])  # fmt: skip
def test_the_board_and_the_report_agree_on_what_is_solved(tmp_path, env, threshold):
    record = {"status": "completed", "config": {"env": env, "seed": 1}, "scores": {"final": {"return_mean": 90.0}}}
    write_record(tmp_path / "one", record)
    found = Board("?", [SimpleNamespace(variant="a", directory="one")], tmp_path)
    assert found.thresholds.get("one") == threshold
    known = find_task(task_name({f"env.{key}": value for key, value in env.items()}))
    assert (known and known.threshold) == threshold


def test_a_board_is_a_line_if_its_table_does_not_fit(tmp_path):
    board = Board("Why?", [SimpleNamespace(variant=str(name), directory=str(name)) for name in range(30)], tmp_path)
    screens = []
    for height in (40, 30):
        console = Console(file=io.StringIO(), width=80, height=height, force_terminal=True, color_system=None)
        console.print(board.drawn(height))
        screens.append(console.file.getvalue())
    assert "return" in screens[0]
    assert len(screens[0].splitlines()) <= 40
    assert screens[1].splitlines() == ["Why?", "0 of 30 jobs"]


def test_a_board_is_erased_at_the_end_and_its_title_is_not_cut(tmp_path):
    question = "Does a target network matter, and how should it be updated?"
    board = Board(question, [SimpleNamespace(variant="a", directory="a")], tmp_path)
    screen = io.StringIO()
    with Watch(board, Console(file=screen, width=80, height=40, force_terminal=True, color_system=None)):
        assert f"{question}\n" in screen.getvalue().replace(" \n", "\n")
    assert screen.getvalue().endswith("\x1b[1A\x1b[2K")


def test_the_end_says_which_variants_are_different_tasks(ask):
    out = ask(variants="{a: [env.max_episode_steps=9], b: [env.max_episode_steps=8]}").out
    assert "note      Runs that differ in env.max_episode_steps are different tasks: their returns are not" in out
    assert "note" not in ask("--dir=other").out


@pytest.mark.parametrize(("name", "quick", "typed", "directory"), [
    ("replay", False, [], "replay"), ("replay", True, ["network=mlp64"], "replay_quick,network=mlp64"),
    ("how often", False, ["steps=2_000"], "how-often,steps=2_000"),
    ("mine", False, ["++env.kwargs.gravity=9"], "mine,env.kwargs.gravity=9"),
    ("mine", False, ["steps=9", "logger=csv"], r"mine,steps=9-[0-9a-f]{8}"),
    ("mine", False, ["network.hidden=[8, 8]", "env.id='A b'"], r"mine,network.hidden=8,8,env.id=A-b-[0-9a-f]{8}"),
    ("목표", False, [], r"sweep-[0-9a-f]{8}"), ("목표", True, ["steps=9"], r"_quick,steps=9-[0-9a-f]{8}"),
    ("a/../b", False, [], r"a-..-b-[0-9a-f]{8}"),
    ("mine", False, [f"env.kwargs.{letter}={'9' * 30}" for letter in "abc"], r"mine,env.kwargs.a=9{30}-[0-9a-f]{8}"),
])  # fmt: skip
def test_a_directory_is_named_by_overrides_and_by_their_hash_if_it_cannot_show_them_all(name, quick, typed, directory):
    path = run._default_directory(name, quick, typed)
    assert path.parts[:2] == ("outputs", "sweeps")
    assert re.fullmatch(directory, str(path.relative_to("outputs/sweeps")))


@pytest.mark.parametrize(("number", "said"), [(2, "0 of 2 jobs  목표 0: –  목표 1: –"), (12, "0 of 12 jobs")])
def test_a_line_of_progress_has_no_means_if_it_would_be_too_long(tmp_path, number, said):
    jobs = [SimpleNamespace(variant=f"목표 {job}", directory=str(job)) for job in range(number)]
    assert Watch(Board("?", jobs, tmp_path), Console(file=io.StringIO()))._line() == said


def test_a_variant_without_results_says_so(tmp_path):
    board = Board("?", [SimpleNamespace(variant="목표", directory="a")], tmp_path)
    assert summary(board) == ["목표  no results"]
