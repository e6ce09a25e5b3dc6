"""What the tables say about their columns."""

import pandas as pd
import pytest

pytestmark = pytest.mark.usefixtures("no_figures")


def test_the_table_of_differences_defines_p_and_its_share_lies_in_its_interval(cli, make, read, tmp_path):
    def level(variant, seed):
        return 100.0 + seed + (9.0 if variant["target.interval"] == 10 else 0.0)

    directory = make.sweep(tmp_path / "s", [{"target.interval": value} for value in (1, 10)], range(3), level)
    cli(directory)
    text = read(directory / "report")
    assert "p is the larger of two probabilities: that chance alone makes such a difference" in text
    assert "Holm" not in text  # there is only one comparison
    assert text.index("P(better)") < text.index("p is the larger") < text.index("How to read this")
    row = (directory / "report" / "tables" / "comparison.md").read_text().splitlines()[4]
    assert "| 100 % |" in row
    table = pd.read_csv(directory / "report" / "tables" / "comparison.csv")
    assert table["improvement"].item() == table["improvement_high"].item() == 1


def test_the_answer_names_the_variant_with_the_largest_mean(cli, make, tmp_path):
    directory = make.sweep(tmp_path / "s", [{"target.interval": value} for value in (1, 10, 100)], range(3),
                           lambda variant, seed: float(variant["target.interval"] + seed))  # fmt: skip
    assert "Of the 3 variants, “target.interval=100” has the highest mean" in cli(directory).out
    pair = cli(directory, "--compare", "target.interval=1", "target.interval=10").out
    assert "has the highest mean" not in pair


@pytest.mark.parametrize("variants", [1, 2])
def test_an_interval_far_wider_than_the_runs_is_explained(cli, make, read, tmp_path, variants):
    """Short runs of 9 to 10 steps: three seeds may have missed a success of up to 500."""
    said = "they allow for rare successes or failures that 3 seeds may all have missed (dqn_lab/analysis/README.md"
    for name, spread, shown in (("near", 0.5, True), ("far", 200.0, False)):
        grid = [{"target.interval": value} for value in (1, 10)][:variants]
        directory = make.sweep(tmp_path / name, grid, range(3), lambda variant, seed, by=spread: 9.0 + by * seed)
        assert (said in cli(directory).out) == shown
        assert (said in read(directory / "report")) == shown
