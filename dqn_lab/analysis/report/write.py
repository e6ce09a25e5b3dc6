"""Writes a report's directory, completely or not at all."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dqn_lab.analysis._errors import AnalysisError
from dqn_lab.analysis.pages import refuse_other_things, write_directory
from dqn_lab.analysis.places import Place, Source, places_of
from dqn_lab.analysis.report.cautions import of_code, of_page
from dqn_lab.analysis.report.clips import Shoot
from dqn_lab.analysis.report.material import Material, gather
from dqn_lab.analysis.report.neutral import csv
from dqn_lab.analysis.report.notebook import report_html
from dqn_lab.analysis.report.page import Page, slug, write_page
from dqn_lab.analysis.report.provenance import commands, progress, shared, stopped, variants, versions
from dqn_lab.analysis.report.question import Options
from dqn_lab.analysis.report.sections import Section, make_section
from dqn_lab.tasks import apart

ANSWERS = Path("outputs/answers")  # for reports on included results
WIDTH = 110  # columns of a report's lines when it is printed from Python
MARK = '<meta name="generator" content="dqn_lab report">'


@dataclass(frozen=True, kw_only=True, repr=False)
class Report:
    """A written report: the page, the question, each task's answer, and the runs' progress.

    `note` says why several tasks are not compared, and what the page lacks.
    """

    index: Path
    question: str
    answers: dict[str, str]
    progress: str
    note: str = ""

    def lines(self) -> list[tuple[str, str]]:
        """Returns the report's content as pairs of a label and a text."""
        several = len(self.answers) > 1
        answers = [("answer", f"{task}: {text}" if several else text) for task, text in self.answers.items()]
        note = [("note", self.note)] if self.note else []
        return [("question", self.question), *answers, *note, ("runs", self.progress)]

    def __repr__(self) -> str:
        wrapper = textwrap.TextWrapper(
            WIDTH, subsequent_indent=" " * 10, break_long_words=False, break_on_hyphens=False
        )
        lines = [wrapper.fill(f"{label:<10}{text}") for label, text in self.lines()]
        return "\n".join([*lines, f"report    {self.index}"])

    def _repr_html_(self) -> str:
        return report_html(self.lines(), self.index)


def write_report(
    *paths: Source,
    out: str | os.PathLike[str] | None = None,
    options: Options | None = None,
    shoot: Shoot | None = None,
) -> Report:
    """Writes `index.html`, `figures/` and `tables/` about the runs under some paths.

    Args:
        paths: sweeps, runs, directories above them, or frames with one row per run; or the name of a question whose
            results are included.
        out: the report's directory; None: `report` inside the first path, or `report-selection` if the runs were
            chosen by hand; of a question, `outputs/answers/NAME`.
        options: what to compare, and how.
        shoot: records a run; None for a report without videos.

    Returns:
        the report's location and content.

    Raises:
        AnalysisError: there are no runs, an option names something unknown, or `out` contains something else.
        OSError: the report cannot be written; an earlier report is kept.
    """
    options = options or Options()
    places = places_of(paths)
    material = gather(places, options)
    if shoot is not None and material.included is not None:
        raise AnalysisError(
            f"--videos: the results of {material.included} are included without policies; run "
            f"`python -m dqn_lab sweep {material.included}` first"
        )
    target = Path(out) if out is not None else _default_directory(places, options, material)
    refuse_other_things(target, MARK, "a report")
    sections = [make_section(material, task, shoot) for task in material.tasks]
    write_directory(target, lambda fresh: _fill(fresh, material, sections))
    apart_if_several = [apart(material.telling_keys)] if len(sections) > 1 else []
    return Report(
        index=target / "index.html", question=material.question, progress=progress(material)[0],
        answers={section.task: section.answer for section in sections},
        note=" ".join([*apart_if_several, *of_code(material.runs), *_notes(sections)]),
    )  # fmt: skip


def _default_directory(places: Sequence[Place], options: Options, material: Material) -> Path:
    if material.included is not None:
        return ANSWERS / material.included
    first = places_of([*places, *(name for name in options.compare or () if Path(name).is_dir())])[0].path
    return Path(first) / ("report-selection" if material.selected_from else "report")


def _notes(sections: Sequence[Section]) -> list[str]:
    """Lists the sections' notes, with their tasks if there are several."""
    several = len(sections) > 1
    return [f"{section.task}: {section.note}" if several else section.note for section in sections if section.note]


def _fill(directory: Path, material: Material, sections: Sequence[Section]) -> None:
    for name in ("figures", "tables"):
        (directory / name).mkdir(parents=True)
    for section in sections:
        prefix = f"{slug(section.task)}-" if len(sections) > 1 else ""
        for picture in section.pictures:
            stem = directory / "figures" / f"{prefix}{picture.name}"
            stem.with_name(f"{stem.name}.svg").write_text(picture.rendered.svg, encoding="utf-8")
            if picture.rendered.png is not None:
                stem.with_name(f"{stem.name}.png").write_bytes(picture.rendered.png)
            if picture.data is not None:
                (directory / "tables" / f"{prefix}{picture.name}.csv").write_text(csv(picture.data), encoding="utf-8")
        for table in section.tables:
            (directory / "tables" / f"{prefix}{table.name}.csv").write_text(table.csv(), encoding="utf-8")
            (directory / "tables" / f"{prefix}{table.name}.md").write_text(table.markdown(), encoding="utf-8")
    status, unfinished = progress(material)
    missing = "".join(sorted({sign for section in sections for picture in section.pictures
                              for sign in picture.rendered.missing}))  # fmt: skip
    skipped = {**material.skipped, **({"PNG files": f"no installed font has {missing[:40]}"} if missing else {})}
    page = Page(
        name=material.name, question=material.question, progress=status, unfinished=unfinished,
        alone=len(material.scores) == 1,
        cautions=list(of_page(material)), sections=sections, variants=variants(material), commands=commands(material),
        versions=versions(material), shared=shared(material), stopped=stopped(material), skipped=skipped,
    )  # fmt: skip
    (directory / "index.html").write_text(write_page(page), encoding="utf-8")
