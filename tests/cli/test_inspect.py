"""`inspect`: the page, its files, and the errors for bad input."""

import csv
import os
import re
import shutil

import pytest

from dqn_lab.cli._runs import find_runs

QUICK = ("logger=csv", "display=none", "steps=300", "episodes=null", "evaluation.num_episodes=2",
         "evaluation.final_num_episodes=2", "evaluation.interval=null")  # fmt: skip


def test_a_page_is_written_beside_its_figures_and_numbers(cli, tmp_path):
    cli("train", *QUICK, "hydra.run.dir=run")
    outcome = cli("inspect", "run", "--episodes", "2")
    assert outcome.code == 0, outcome.err
    assert outcome.out == "page      run/inspect/index.html\n"
    page = (tmp_path / "run" / "inspect" / "index.html").read_text()
    assert "Value over pole angle × pole velocity" in page
    assert "<b>two dimensions</b>" in page
    assert "<b>Actual return</b>" in page
    assert ">actual return</text>" in page  # the figure's legend has the same name
    assert not re.search(r'(?:src|href)="(?!data:|figures/|tables/|#)', page)
    for link in re.findall(r'href="((?:figures|tables)/[^"]+)"', page):
        assert (tmp_path / "run" / "inspect" / link).is_file()
    with (tmp_path / "run" / "inspect" / "tables" / "episode.csv").open() as file:
        rows = list(csv.DictReader(file))
    cli("evaluate", "run", "--episodes", "1", "--csv", "rows.csv")
    assert len(rows) == int((tmp_path / "rows.csv").read_text().splitlines()[1].split(",")[3]) + 1
    assert cli("inspect", "run", "--episodes", "2", "--dims", "0", "pole_angle").code == 0  # replaces its own page


def test_several_runs_stand_side_by_side(cli, tmp_path):
    cli("train", "-m", *QUICK, "value=categorical", "seed=1,2", "hydra.sweep.dir=sweep")
    outcome = cli("inspect", "sweep", "--episodes", "1", "--out", "both")
    assert outcome.code == 0, outcome.err
    page = (tmp_path / "both" / "index.html").read_text()
    assert "<h3>seed=1</h3>" in page
    assert "<h3>seed=2</h3>" in page
    assert "Distributions of the return" in page
    assert (tmp_path / "both" / "figures" / "value-2.svg").is_file()


def test_what_cannot_be_inspected_is_refused_in_one_line(cli, tmp_path):
    cli("train", *QUICK, "hydra.run.dir=run")
    cli("train", *QUICK, "env=acrobot", "hydra.run.dir=other")
    cli("train", *QUICK, "env=mountain_car", "hydra.run.dir=car")
    cli("train", *QUICK, "env=mountain_car", "env.rescale=true", "hydra.run.dir=rescaled")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").touch()
    (tmp_path / "file").touch()
    shutil.copytree(tmp_path / "run", tmp_path / "wrong")
    for path in (tmp_path / "other" / "checkpoint").iterdir():
        shutil.copy(path, tmp_path / "wrong" / "checkpoint" / path.name)
    before = sorted(tmp_path.rglob("*"))
    for words, problem in {
        ("nothing",): "nothing: no such directory",
        ("run", "other"): "different tasks: CartPole-v1, Acrobot-v1; name runs of one task",
        ("car", "rescaled"): "car, rescaled: have different observations; name runs with the same settings of env",
        ("run", "--dims", "9", "0"): "--dims 9: no such dimension; choices: 0 or cart_position",
        ("run", "--dims", "0"): "--dims 0: must be two different dimensions, or all",
        (
            "run",
            "--policy",
            "selected",
        ): "--policy=selected: run has no such policy; the selected policy is saved as best",
        ("run", "--policy", "step_7"): "--policy=step_7: run has no such policy; choices: best, final",
        ("wrong",): "wrong/checkpoint/final",
        ("run", "--out", "mine"): "mine: exists already and is not an inspection",
        ("run", "--out", "file/page"): "file/page: cannot be written: ",
    }.items():
        outcome = cli("inspect", *words)
        assert outcome.code == 2, words
        assert outcome.err.startswith(f"error: {problem}"), outcome.err
        assert len(outcome.err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_opens_clean_in_a_browser(cli, tmp_path, scheme, width):
    sync_api = pytest.importorskip("playwright.sync_api", reason='needs a browser: pip install -e ".[browser]"')
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    system = next((path for name in names if (path := shutil.which(name))), None)
    cli("train", *QUICK, "hydra.run.dir=run")
    cli("inspect", "run", "--episodes", "1")
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("DQN_LAB_CHROMIUM", system), args=["--no-sandbox"]
            )
        except sync_api.Error:
            pytest.skip("needs a Chromium: `playwright install chromium`, or DQN_LAB_CHROMIUM=/path/to/one")
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        problems = []
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto((tmp_path / "run" / "inspect" / "index.html").as_uri())
        assert problems == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#value .wide").is_visible() == (width == 1280)
        browser.close()


def test_a_page_without_continuous_dimensions_lists_the_states_and_explains_no_figure_of_them(cli, tmp_path):
    cli("train", *QUICK, "env.id=FrozenLake-v1", "env.max_episode_steps=20", "env.kwargs.is_slippery=false",
        "hydra.run.dir=run")  # fmt: skip
    assert cli("inspect", "run", "--episodes", "1").code == 0
    page = (tmp_path / "run" / "inspect" / "index.html").read_text()
    assert "<b>two dimensions</b>" not in page
    assert ("All states" in page) == ("on the map" not in page)  # drawn as a map if pygame is installed


def test_earlier_attempts_are_not_shown_beside_the_runs(cli, finished, tmp_path):
    (tmp_path / "sweep").mkdir()
    finished.rename(tmp_path / "sweep" / "a")
    shutil.copytree(tmp_path / "sweep" / "a", tmp_path / "sweep" / "a.attempt1")
    assert [path.name for path in find_runs([tmp_path / "sweep"], 9)] == ["a"]
    assert "attempt" not in cli("evaluate", "sweep").err
    assert [path.name for path in find_runs([tmp_path / "sweep" / "a.attempt1"], 9)] == ["a.attempt1"]
