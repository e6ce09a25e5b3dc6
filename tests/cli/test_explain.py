"""`explain` on the command line: the screen, the page, and the errors for bad input."""

import pytest


@pytest.mark.parametrize("words", [(), ("experiment=rainbow",), ("value=quantile", "buffer=prioritized")])
@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_a_screen_fits_the_terminal(cli, monkeypatch, words, columns):
    monkeypatch.setenv("COLUMNS", columns)
    outcome = cli("explain", *words)
    assert outcome.code == 0, outcome.err
    assert all(len(line) <= int(columns) for line in outcome.out.splitlines() if "https://" not in line)
    for word in (" 1  Q(·; θ) ← ", "components\n", "deviations from Mnih et al. 2015", "deviations from the notebook",
                 "parameters", "engine"):  # fmt: skip
        assert word in outcome.out


def test_a_run_is_explained_as_its_composition(cli, finished):
    from tests.cli.conftest import QUICK

    of_run, of_words = cli("explain", finished).out, cli("explain", *QUICK).out
    assert of_run == of_words


def test_a_page_is_written_once(cli, tmp_path):
    outcome = cli("explain", "experiment=iqn", "--html", "iqn.html")
    assert (outcome.code, outcome.out) == (0, "page      iqn.html\n")
    page = (tmp_path / "iqn.html").read_text()
    assert "The algorithm of experiment=iqn" in page
    assert '<a href="https://arxiv.org/abs/1806.06923"' in page
    assert cli("explain", "--html", "iqn.html").err == "error: --html iqn.html: exists already\n"


def test_a_custom_component_is_explained_from_its_directory(cli):
    from pathlib import Path

    lab = Path(__file__).parents[1] / "extension" / "my_lab"
    outcome = cli("explain", "--config-dir", lab, "network=residual", "buffer=recent")
    assert outcome.code == 0, outcome.err
    assert "One hidden layer, plus a linear path from observation to outputs (width=32)" in outcome.out.replace(
        "\n      ", " "
    )


def test_a_run_is_found_by_the_directory_name_that_train_chose(cli, quick, tmp_path):
    cli("train", *quick, "network.hidden=[8]")
    (run,) = (tmp_path / "outputs").glob("*/*=*")
    outcome = cli("explain", run.relative_to(tmp_path))
    assert outcome.code == 0
    assert "(hidden=[8], " in outcome.out


def test_bad_input_is_reported_in_one_line(cli, tmp_path):
    (tmp_path / "file").touch()
    for words, problem in {
        ("nothing",): "nothing: no such directory",
        ("netwrok=mlp24",): "netwrok=mlp24: no such key; did you mean network",
        ("a", "b"): "a: must be one run's directory, or overrides of the form key=value",
        ("rainbow",): "rainbow: is not KEY=VALUE; did you mean experiment=rainbow?",
        ("outputs/a=b",): "outputs/a=b: no such directory",
        ("target.interval=0",): "target.interval=0: must be greater than 0",
        ("--html", "file/page.html"): "file/page.html: cannot be written: ",
    }.items():
        outcome = cli("explain", *words)
        assert outcome.code == 2, words
        assert outcome.err.startswith(f"error: {problem}"), outcome.err
        assert len(outcome.err.splitlines()) == 1


def test_the_recipe_of_a_paper_lists_its_deviations(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    said = cli("explain", "experiment=atari/dqn").out.partition("deviations from Mnih et al. 2015")[2]
    assert "a lost life does not end an episode" in said
    assert "evaluation is greedy" in said
