"""A report is replaced as a whole or not at all."""

import pytest

from dqn_lab.analysis.report import write
from dqn_lab.analysis.report.write import write_report


def test_a_report_that_cannot_be_put_in_place_leaves_the_old_one(sweep, monkeypatch):
    before = write_report(sweep).index.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device", "report")

    monkeypatch.setattr(write, "_fill", fail)
    with pytest.raises(OSError, match="No space"):
        write_report(sweep)
    assert (sweep / "report" / "index.html").read_bytes() == before
    assert [path.name for path in sweep.iterdir() if path.name.startswith(".report")] == []
