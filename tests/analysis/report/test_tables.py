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
    assert "p is the larger of two probabilities, corrected for the number of comparisons (Holm)" in text
    assert text.index("P(better)") < text.index("p is the larger") < text.index("How to read this")
    row = (directory / "report" / "tables" / "comparison.md").read_text().splitlines()[4]
    assert "| 100 % |" in row
    table = pd.read_csv(directory / "report" / "tables" / "comparison.csv")
    assert table["improvement"].item() == table["improvement_high"].item() == 1
