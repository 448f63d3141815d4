"""The page as a whole: what is in it, what is left out, and that it needs nothing else."""

import base64
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from hpcstem.errors import HpcstemError
from hpcstem.files import write_json
from hpcstem.report import build, build_report
from hpcstem.report.embed import Embedded

SECTIONS = (
    "summary", "frames", "uncertainty", "truth", "defects", "rings", "kinetics", "rdf", "forces", "region",
    "simulation", "training", "provenance",
)  # fmt: skip
SVG_LINKS = re.compile(r"""(?:href|src)\s*=\s*["'](?!#)|url\((?!#)""")


class Page(HTMLParser):
    """Text by section, tags, and everything that a browser could fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text: dict[str, str] = {}
        self.tags: list[str] = []
        self.links: list[str] = []
        self.images: list[str] = []
        self._section = "head"
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        if tag == "section":
            self._section = values["id"] or ""
        if tag == "img":
            self.images.append(values["src"] or "")
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "poster")]

    def handle_data(self, data: str) -> None:
        self.text[self._section] = self.text.get(self._section, "") + data


@pytest.fixture(scope="module")
def report(whole_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_report(whole_run, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Render coarse images, to be quick."""
    monkeypatch.setattr(build, "_PIXEL_RATIOS", (0.4,))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the figures but leave their pixels out, for tests of words."""
    monkeypatch.setattr(build, "embed", lambda figure, pixel_ratio: Embedded("data:image/png;base64,", 1, 1))


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_whole_run_has_every_section_and_none_is_absent(report: Path) -> None:
    page = read(report)
    assert tuple(key for key in page.text if key != "head") == SECTIONS
    assert "not in this run" not in report.read_text(encoding="utf-8")
    assert len(page.images) == 17
    assert report.stat().st_size < 8_000_000


def test_numbers_of_the_run_are_on_the_page(report: Path) -> None:
    text = read(report).text
    assert "0.9951" in text["truth"]
    assert "1.15" in text["truth"]
    assert "frames, 3 faulty" in text["summary"]
    assert "truncated" in text["frames"]
    assert "−1,234.568" in text["simulation"]
    assert "1.424 ± 0.020" in text["simulation"]
    assert "Si on 3 neighbours" in text["region"]
    assert "30,123" in text["training"]
    assert "No distances were found for Si–Si" in text["rdf"]
    assert "a" * 64 in text["provenance"]
    assert "97% of each step is undone in the next" in text["rdf"]
    assert "identifiable in 1 of 2 movies" in text["forces"]
    assert "not fitted: frames of the trajectory; got <2>" in text["forces"]
    assert "Not identifiable, and not drawn: Si–Si" in text["forces"]
    assert "4.55 ± " in text["forces"]
    assert "Girifalco et al." in text["forces"]
    assert "the next state does not depend on the present one" in text["kinetics"]
    assert "between double vacancy 5-8-5, Si on four neighbours, Stone-Wales 5-7-7-5" in text["summary"]


@pytest.mark.usefixtures("undrawn")
def test_why_there_are_no_kinetics_and_no_forces_is_said(run: Path, edit_json) -> None:
    def silence(fits) -> None:
        found = fits["movies"][0]["fit"]
        found |= {"identifiable": False, "sentences": ["not identifiable: as an example"]}
        fits["movies"] = fits["movies"][:1]

    edit_json("potentials/fits.json", silence)
    write_json(run / "kinetics" / "kinetics.json", {"because": "frame time of a movie; got none; wanted one"})
    text = read(build_report(run)).text
    assert "identifiable in 0 of 1 movie" in text["forces"]
    assert "not identifiable: as an example" in text["forces"]
    assert "Girifalco" not in text["forces"]
    assert "no kinetics to show: frame time of a movie; got none; wanted one." in text["kinetics"]
    (run / "potentials" / "fits.json").unlink()
    assert "forces" not in read(build_report(run)).text


def test_page_fetches_nothing(report: Path) -> None:
    page = read(report)
    assert all(link.startswith(("data:image/", "#")) for link in page.links)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    html = re.sub(r"data:image/[^\"]+", "", report.read_text(encoding="utf-8"))
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    assert "@import" not in html
    drawings = [image.split(",", 1)[1] for image in page.images if image.startswith("data:image/svg")]
    assert drawings
    assert not any(SVG_LINKS.search(base64.b64decode(drawing).decode("utf-8")) for drawing in drawings)


def test_names_are_text_not_markup(report: Path) -> None:
    page = read(report)
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.text["provenance"]
    assert "graphene & Si <60 kV>" in page.text["frames"]
    assert "row 5 <b>" in page.text["frames"]
    assert "node<1>" in page.text["simulation"]
    assert page.text["head"].count("</pre><script>alert(1)</script>") == 2


@pytest.mark.usefixtures("coarse")
def test_same_run_gives_the_same_bytes(whole_run: Path, tmp_path: Path) -> None:
    first = build_report(whole_run, tmp_path / "first.html")
    assert build_report(whole_run, tmp_path / "again.html").read_bytes() == first.read_bytes()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("removed", "absent"),
    [
        (("frames",), {"frames"}),
        (("training", "kinetics"), {"training", "kinetics"}),
        (("decode",), {"frames", "uncertainty", "rings"}),
        (("structure",), {"defects", "rings", "region"}),
        (("potentials",), {"rdf", "forces"}),
        (("simulation",), {"region", "simulation"}),
        (("structure", "potentials", "simulation"), {"defects", "rings", "region", "rdf", "forces", "simulation"}),
    ],
)
def test_a_stage_that_has_not_run_is_named(run: Path, removed: tuple[str, ...], absent: set[str]) -> None:
    for stage in removed:
        shutil.rmtree(run / stage)
    text = read(build_report(run)).text
    assert {key for key in text if "not in this run" in text[key]} == absent
    for stage in removed:
        assert any(f"the stage “{stage}” makes this part" in text[key] for key in absent)


@pytest.mark.usefixtures("undrawn")
def test_results_of_queues_in_the_run_are_shown_and_led_to(run: Path) -> None:
    assert "queues" not in read(build_report(run)).text
    shutil.copytree(run / "simulation", run / "adsorbed <Cr>", ignore=shutil.ignore_patterns("[!r]*"))
    rings = [{"size": 5, "n_rings": 2, "length_A": 1.44, "length_spread_A": 0.03}]
    relaxed = [{"size": 6, "n_rings": 7, "length_A": 1.423, "length_spread_A": 0.01}]
    relaxation = {"name": "region relax", "method": "by <hand>", "converged": True, "energy_eV": -1.5}
    relaxation |= {"given": rings, "relaxed": rings + relaxed}
    found = {"counts": {"COMPLETED": 3, "FIZZLED": 1}, "relaxations": [relaxation], "structures": "relaxed.xyz"}
    write_json(run / "adsorbed <Cr>" / "analysis.json", found)
    (run / "adsorbed <Cr>" / "report.html").write_text("a page")
    page = read(build_report(run))
    text = page.text["queues"]
    for shown in ("3 COMPLETED, 1 FIZZLED", "1.423 ± 0.010", "region relax, by by <hand>, from above"):
        assert shown in text
    assert "All results of this queue: adsorbed <Cr>/report.html" in text
    assert [link for link in page.links if not link.startswith(("#", "data:"))] == ["adsorbed%20%3CCr%3E/report.html"]


@pytest.mark.usefixtures("undrawn")
def test_run_that_has_only_begun(run: Path) -> None:
    for path in run.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    (run / "provenance.json").unlink()
    path = build_report(run)
    assert path == run / "report.html"
    text = read(path).text
    absent = {key for key in text if "not in this run" in text[key]}
    assert absent == set(SECTIONS) - {"truth"}


def _forget(value, key: str = ""):
    """Turn every value that a stage may not know into null, keeping names, keys and frame indices."""
    if isinstance(value, dict):
        return {name: _forget(item, name) for name, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_forget(item) for item in value]
    return value if key in ("name", "key", "frame", "path") else None


@pytest.mark.usefixtures("coarse")
def test_run_that_knows_nothing_but_names(run: Path) -> None:
    for path in set(run.rglob("*.json")) - {run / "kinetics" / "study.json"}:
        path.write_text(json.dumps(_forget(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    text = " ".join(read(build_report(run)).text.values())
    assert not re.search(r"\b(nan|None|inf)\b", text)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize(
    "name",
    [
        "provenance.json", "frames/frames.json", "training/training.json", "decode/decode.json",
        "structure/structure.json", "potentials/rdf.json", "simulation/simulation.json",
    ],
)  # fmt: skip
@pytest.mark.parametrize("content", ['{"movies": [', "[1, 2]", "\xff"])
def test_damaged_json_is_named(run: Path, name: str, content: str) -> None:
    (run / name).write_text(content, encoding="latin-1")
    with pytest.raises(HpcstemError, match=re.escape(name)):
        build_report(run)
    assert not (run / "report.html").exists()


def test_wrong_value_in_json_names_the_key(run: Path, edit_json) -> None:
    edit_json("decode/decode.json", lambda value: value["truth"].update(rmse_A="small"))
    with pytest.raises(HpcstemError, match=r"decode\.json, key truth\.rmse_A; got 'small'"):
        build_report(run)


@pytest.mark.parametrize(
    "name",
    [
        "decode/maps/graphene & Si <60 kV>.npz", "structure/bonds/graphene & Si <60 kV>.npz",
        "structure/atoms/graphene & Si <60 kV>.parquet", "potentials/rdf.npz", "structure/region.xyz",
        "simulation/relaxed.xyz", "simulation/nvt-300K.xyz", "potentials/fits/moving/potential.npz",
        "kinetics/movies/movie-00000.npz",
    ],
)  # fmt: skip
@pytest.mark.parametrize("keep", [0.1, 0.6])
def test_damaged_data_is_named(run: Path, name: str, keep: float) -> None:
    content = (run / name).read_bytes()
    (run / name).write_bytes(content[: int(keep * len(content))])
    with pytest.raises(HpcstemError, match=re.escape(Path(name).name)):
        build_report(run)


def test_pickle_in_an_archive_is_not_loaded(run: Path) -> None:
    np.savez(run / "potentials" / "rdf.npz", r_A=np.array([{"a": 1}], dtype=object))
    with pytest.raises(HpcstemError, match=r"rdf\.npz"):
        build_report(run)


def test_large_frames_stay_within_the_limit(run: Path) -> None:
    """Noise hardly compresses: six frames of 700² px must still fit, at a lower resolution if need be."""
    random = np.random.default_rng(np.random.SeedSequence(3))
    for path in (run / "decode" / "maps").glob("*.npz"):
        with np.load(path) as archive:
            arrays = dict(archive)
        arrays["image"] = random.random((3, 700, 700)).astype(np.float32)
        np.savez(path, **arrays)
    assert build_report(run).stat().st_size < 8_000_000


@pytest.fixture
def n_pictures(whole_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Of the report of the run."""
    with monkeypatch.context() as patch:
        patch.setattr(build, "embed", lambda figure, ratio: Embedded("data:,", 1, 1))
        return len(read(build_report(whole_run, tmp_path / "small.html")).images)


@pytest.mark.parametrize(("MB_per_ratio", "ratio"), [(3.6, 2.0), (4.8, 1.5), (7.2, 1.0)])
def test_page_is_made_only_as_coarse_as_it_must_be(
    whole_run: Path, n_pictures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, MB_per_ratio: float, ratio: float
) -> None:
    def letters(pixel_ratio: float) -> int:
        return int(MB_per_ratio * 1e6 / n_pictures * pixel_ratio)

    def embed(figure: object, pixel_ratio: float) -> Embedded:
        return Embedded("data:image/png;base64," + "A" * letters(pixel_ratio), 1, 1)

    monkeypatch.setattr(build, "embed", embed)
    page = read(build_report(whole_run, tmp_path / "report.html"))
    assert {len(image) for image in page.images} == {22 + letters(ratio)}


def test_page_that_cannot_be_small_enough_is_refused(
    whole_run: Path, n_pictures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        build, "embed", lambda figure, ratio: Embedded("data:," + "A" * (12_200_000 // n_pictures), 1, 1)
    )
    with pytest.raises(HpcstemError, match=r"12\.\d MB; wanted at most 8 MB"):
        build_report(whole_run, tmp_path / "none.html")
    assert not (tmp_path / "none.html").exists()


def test_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HpcstemError, match="not a run directory"):
        build_report(tmp_path)
    with pytest.raises(HpcstemError, match="not a folder"):
        build_report(tmp_path / "nowhere")


@pytest.mark.usefixtures("undrawn")
def test_faults_that_nobody_looked_for_are_not_called_none(run: Path, edit_json) -> None:
    edit_json("frames/frames.json", lambda value: [movie.pop("faults") for movie in value["movies"]])
    edit_json("decode/decode.json", lambda value: value.pop("faults"))
    assert "– faulty" in read(build_report(run)).text["summary"]


@pytest.mark.usefixtures("undrawn")
def test_movies_without_sample_frames(run: Path) -> None:
    """A movie in which nothing was found has no sample frames; its empty arrays have no shape to check."""
    for path in (run / "decode" / "maps").glob("*.npz"):
        none = np.empty(0, np.float32)
        np.savez(path, frame=none, image=none, probability=none, spread=none, map_pixel_size_A=0.2, pixel_size_A=0.1)
    assert "not in this run" in read(build_report(run)).text["uncertainty"]


@pytest.mark.usefixtures("undrawn")
def test_cells_that_cannot_be_compared(run: Path) -> None:
    shutil.copy(run / "simulation" / "relaxed.xyz", run / "structure" / "region.xyz")
    lines = (run / "structure" / "region.xyz").read_text(encoding="utf-8").splitlines()
    n_atoms = int(lines[0])
    last = lines[n_atoms + 2 :]
    last[2] = re.sub(r"^\S+", "N", last[2])
    (run / "structure" / "region.xyz").write_text("\n".join(last) + "\n", encoding="utf-8")
    assert "cannot be compared" in read(build_report(run)).text["region"]


def test_no_global_state_of_pyplot_is_touched(run: Path) -> None:
    code = (
        "import sys, matplotlib; from pathlib import Path; from hpcstem.report import build, build_report;"
        "build._PIXEL_RATIOS = (0.4,); before = dict(matplotlib.rcParams); build_report(Path(sys.argv[1]));"
        "assert 'matplotlib.pyplot' not in sys.modules; assert dict(matplotlib.rcParams) == before"
    )
    subprocess.run([sys.executable, "-c", code, str(run)], check=True, timeout=300)
