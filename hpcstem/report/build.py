"""One self-contained HTML page of a run directory."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path

from hpcstem.errors import HpcstemError
from hpcstem.files import write_text
from hpcstem.report.embed import Embedded, embed
from hpcstem.report.page import Picture, Player, Section
from hpcstem.report.run import Run
from hpcstem.report.sections_accuracy import training_section, truth_section
from hpcstem.report.sections_frames import frames_section, uncertainty_section
from hpcstem.report.sections_kinetics import kinetics_section
from hpcstem.report.sections_potentials import forces_section, rdf_section
from hpcstem.report.sections_queue import queues_section
from hpcstem.report.sections_record import provenance_section, summary_section
from hpcstem.report.sections_simulation import region_section, simulation_section
from hpcstem.report.sections_structure import defects_section, rings_section

LARGEST_PAGE_BYTES = 8_000_000
_PIXEL_RATIOS = (2.0, 1.5, 1.0)


def build_report(run: Path, output: Path | None = None) -> Path:
    """Write the report of a run: one HTML file that needs nothing else.

    A part whose stage has not run is left out, with a line that names the stage. The same run gives the same
    file. Images have two pixels per CSS pixel, fewer where the page would else exceed 8 MB.

    Parameters
    ----------
    run
        The run directory.
    output
        The file to write; `report.html` in the run directory if None.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    HpcstemError
        Not a run directory, a damaged file in it (named), or a page over 8 MB at every resolution.
    """
    reader = Run(Path(run))
    output = Path(output) if output is not None else reader.folder / "report.html"
    about = "Report of a run of hpcstem"
    if reader.provenance is not None and reader.provenance.hpcstem is not None:
        about += f" {reader.provenance.hpcstem}"
    if reader.provenance is not None and reader.provenance.finished is not None:
        about += f", finished {reader.provenance.finished}"
    return write_page(output, reader.name, about, _sections(reader))


def write_page(output: Path, name: str, about: str, sections: list[Section], refresh_s: int | None = None) -> Path:
    """Write sections as one HTML file that needs nothing else, whole or not at all.

    Parameters
    ----------
    output
        The file.
    name, about
        Heading, and the line below it.
    sections
        What it holds.
    refresh_s
        After which time a browser reads it again [s]; never if None.

    Raises
    ------
    HpcstemError
        The page is over 8 MB at every resolution of its images, or cannot be written.
    """
    images: dict[int, Embedded] = {}
    for pixel_ratio in _PIXEL_RATIOS:
        _embed_all(sections, pixel_ratio, images)
        page = _render(name, about, sections, images, refresh_s)
        if len(page.encode()) <= LARGEST_PAGE_BYTES:
            write_text(output, page)
            return output
    raise HpcstemError(
        f"report {output}",
        f"{len(page.encode()) / 1e6:.1f} MB",
        f"at most {LARGEST_PAGE_BYTES / 1e6:.0f} MB",
    )


def _sections(run: Run) -> list[Section]:
    sections = [
        summary_section(run),
        frames_section(run),
        uncertainty_section(run),
        truth_section(run),
        defects_section(run),
        rings_section(run),
        kinetics_section(run),
        rdf_section(run),
        forces_section(run),
        region_section(run),
        simulation_section(run),
        queues_section(run),
        training_section(run),
        provenance_section(run),
    ]
    return [section for section in sections if section is not None]


def _pictures(sections: list[Section]) -> list[Picture]:
    return [block for section in sections for block in section.blocks if isinstance(block, Picture)]


def _embed_all(sections: list[Section], pixel_ratio: float, images: dict[int, Embedded]) -> None:
    """Put the rendered figures into `images`, by the identity of their picture; a drawing is rendered once."""
    for picture in _pictures(sections):
        known = images.get(id(picture))
        if known is None or not known.is_drawing:
            images[id(picture)] = embed(picture.figure, pixel_ratio)


def _render(name: str, about: str, sections: list[Section], images: dict[int, Embedded], refresh_s: int | None) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    source = files("hpcstem.report").joinpath("template.html").read_text(encoding="utf-8")
    plays = any(isinstance(block, Player) for section in sections for block in section.blocks)
    script = files("hpcstem.report").joinpath("player.js").read_text(encoding="utf-8") if plays else ""
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(source)
    return template.render(
        name=name,
        about=about,
        refresh_s=refresh_s,
        sections=sections,
        images=images,
        numbers={id(picture): number for number, picture in enumerate(_pictures(sections), start=1)},
        identity=id,
        script=Markup(script),  # noqa: S704  our own file
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )
