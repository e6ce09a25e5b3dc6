"""The READMEs are right: commands work, links resolve, and example code is the code that the tests run."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from dqn_lab.cli import COMMANDS, _compose, _grid, _hydra, main
from dqn_lab.cli import report as report_command
from dqn_lab.cli.evaluate import _parser as evaluate_parser
from dqn_lab.registry import GROUPS

ROOT = Path(__file__).parents[1]
FOLDERS = ("conf", "sweeps", "dqn_lab", "dqn_lab/engine", "dqn_lab/analysis", "tests")
DOCUMENTS = ("README.md", *(f"{folder}/README.md" for folder in FOLDERS), ".github/README.ko.md")
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
EXTRAS = {"submitit_local": "submitit", "slurm": "submitit", "ray": "ray", "ray_local": "ray", "search": "optuna",
          "recipes_lunar_lander": "Box2D"}  # fmt: skip


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(text: str) -> list[str]:
    """Returns the words after `python -m dqn_lab` of every command, in bash blocks and in code spans."""
    lines = [line for block in code_blocks(text, "bash") for line in block.splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    found = [*lines, *re.findall(r"`([^`\n]*)`", prose)]
    words = [re.search(r"python -m dqn_lab ([^&|]*)", line.partition(" #")[0]) for line in found]
    return [match[1].strip() for match in words if match]


def of_command(name: str) -> list[str]:
    """Returns the command's lines in all documents, each once, except those with `…` or a placeholder."""
    lines = dict.fromkeys(line for text in TEXTS.values() for line in commands(text) if line.split()[0] == name)
    whole = [line for line in lines if not re.search(r"…| \[|\b(GROUP|NAME|PYTHON)\b", line)]
    return [line for line in whole if "--config-dir" not in line]  # tests/extension runs those


def is_missing(line: str) -> str | None:
    """Returns the package that a command needs and that is not installed."""
    needed = [EXTRAS[word] for word in re.split(r"[ =]", line) if word in EXTRAS]
    return next((name for name in needed if importlib.util.find_spec(name) is None), None)


@pytest.mark.parametrize("line", of_command("train"))
def test_every_train_command_composes_and_builds(line):
    """Of a grid only the first and the last job are composed: the others differ in the same keys."""
    args = _hydra.parse_flags(shlex.split(line)[1:])
    with _compose.composer():
        base = _compose.compose_config(_hydra.about_hydra(args.overrides))
        jobs = _hydra.expand(args.overrides, base)
        _grid.plan_grid(_grid.draft_jobs([*jobs[:1], *jobs[1:][-1:]]), lambda draft, config, known_by: known_by)


@pytest.mark.parametrize("line", of_command("sweep"))
def test_every_sweep_command_plans_its_jobs(line, tmp_path, monkeypatch, capsys):
    """Jobs are composed and listed, not run: they take minutes to hours."""
    if (package := is_missing(line)) is not None:
        pytest.skip(f"needs {package}")
    question = code_blocks(TEXTS["sweeps/README.md"], "yaml")[0]
    (tmp_path / "my_question.yaml").write_text(question, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main([*shlex.split(line), "--dry-run"] if line != "sweep" else ["sweep"])
    captured = capsys.readouterr()
    assert not end.value.code, captured.err
    assert "to run in" in captured.out or "not run again" in captured.out or line == "sweep"
    assert [path.name for path in tmp_path.iterdir()] == ["my_question.yaml"]


@pytest.mark.parametrize("line", [
    "--help", *of_command("components"), *(line for line in of_command("train") if "--help" in line or "--cfg" in line),
])  # fmt: skip
def test_every_command_that_only_prints_runs(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(shlex.split(line))
    captured = capsys.readouterr()
    assert not end.value.code, captured.err
    assert len(captured.out.splitlines()) >= 5
    assert not list(tmp_path.iterdir())


def test_every_report_and_evaluate_command_is_understood():
    reports = of_command("report")
    for line in reports:
        report_command._parser().parse_args(shlex.split(line)[1:])
    for line in of_command("evaluate"):
        evaluate_parser().parse_args(shlex.split(line)[1:])
    assert all((reports, of_command("evaluate")))


def test_there_are_commands_to_check():
    assert len(of_command("train")) >= 20
    assert len(of_command("sweep")) >= 15


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_named_exists(document):
    named = {line.split()[0] for line in commands(TEXTS[document])}
    assert named <= {*COMMANDS, "--help", "--version"}


def test_every_command_is_named_in_the_readmes():
    assert {line.split()[0] for text in TEXTS.values() for line in commands(text)} >= set(COMMANDS)
    assert {"train", "sweep", "evaluate", "components"} <= {line.split()[0] for line in commands(TEXTS["README.md"])}


def test_the_example_component_is_the_one_that_is_tested():
    lab = ROOT / "tests" / "extension" / "my_lab"
    files = [path for path in lab.rglob("*.*") if path.is_file() and path.suffix in (".py", ".yaml")]
    assert len(files) >= 12
    for path in files:
        if "walk" in path.name:  # shown in short
            continue
        assert path.read_text(encoding="utf-8").strip() in TEXTS["dqn_lab/README.md"], path.name


@pytest.mark.parametrize("document", ["README.md", "dqn_lab/README.md", ".github/README.ko.md"])
def test_the_example_of_python_runs(document, tmp_path, monkeypatch, capsys):
    (example,) = [block for block in code_blocks(TEXTS[document], "python") if "dqn_lab.train(" in block]
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert len(capsys.readouterr().out.splitlines()) >= 6
    (record,) = tmp_path.rglob("run.json")
    assert '"completed"' in record.read_text(encoding="utf-8")


@pytest.mark.parametrize("document", ["README.md", "conf/README.md"])
def test_every_group_is_in_the_readme(document):
    assert all(f"| `{group}` |" in TEXTS[document] for group in GROUPS)


def test_every_option_key_and_recipe_is_in_the_readme_of_the_configuration():
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", TEXTS["conf/README.md"]))))
    for path in sorted(path for folder in (*GROUPS, "experiment") for path in (ROOT / "conf" / folder).rglob("*.yaml")):
        assert path.stem in named, path
        if "experiment" not in path.relative_to(ROOT).parts:
            keys = OmegaConf.to_container(OmegaConf.load(path))
            assert set(keys) - {"name"} <= named, path


def test_the_table_of_recipes_names_the_base_of_each():
    first = {path.stem: OmegaConf.load(path).defaults[0] for path in (ROOT / "conf" / "experiment").glob("*.yaml")}
    built = {name: base for name, base in first.items() if isinstance(base, str)}
    assert dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", TEXTS["conf/README.md"], re.MULTILINE)) == built


def test_every_option_of_the_small_groups_is_in_the_main_readme():
    for group in set(GROUPS) - {"env"}:
        (row,) = [line for line in TEXTS["README.md"].splitlines() if line.startswith(f"| `{group}` |")]
        assert {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")} <= set(re.findall(r"`(\w+)`", row)), group


def test_the_readme_is_short_and_leads_to_all_others():
    assert len(TEXTS["README.md"].splitlines()) < 200
    assert ".github/README.ko.md" in "".join(TEXTS["README.md"].splitlines()[:8])
    assert all(f"]({name})" in TEXTS["README.md"] for name in DOCUMENTS[1:])


@pytest.mark.parametrize("document", [*DOCUMENTS, ".github/CONTRIBUTING.md"])
def test_every_link_leads_to_a_file_and_a_heading(document):
    path = ROOT / document
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        name, _, heading = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        assert not heading or heading in headings(target.read_text(encoding="utf-8")), link


def headings(text: str) -> set[str]:
    """Returns the anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
