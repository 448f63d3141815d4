"""A small run directory, made of a graphene sheet with two defects, as every stage would have written it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from known_runs import kinetics_run, motion_run
from scipy.ndimage import gaussian_filter

from hpcstem.atoms import AtomTable
from hpcstem.files import write_json

PIXEL_A, SIZE_PX, MAP_STEP = 0.16, 192, 2
FIELD_A = PIXEL_A * SIZE_PX
N_FRAMES, SAMPLES = 12, (0, 6, 11)
MOVIES = ("graphene & Si <60 kV>", "second $x$ movie")


def graphene_sheet(field_A: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions [Å] and species of a turned sheet with one Si, one vacancy and one turned bond."""
    a = 2.46
    i, j = np.meshgrid(np.arange(-40, 40), np.arange(-40, 40))
    cells = np.column_stack([(i + j / 2).ravel() * a, (j * np.sqrt(3) / 2).ravel() * a])
    sheet = np.vstack([cells, cells + np.array([0, 1.42])])
    turn = np.deg2rad(9)
    sheet = sheet @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) + field_A / 2
    sheet = sheet[((sheet > 1.0) & (sheet < field_A - 1.0)).all(axis=1)]

    def nearest(x: float, y: float) -> int:
        return int(np.argmin(np.hypot(*(sheet - [x * field_A, y * field_A]).T)))

    species = np.full(len(sheet), "C", dtype="<U2")
    species[nearest(0.65, 0.4)] = "Si"
    first = nearest(0.3, 0.35)
    second = int(np.argsort(np.hypot(*(sheet - sheet[first]).T))[1])
    middle, arm = (sheet[first] + sheet[second]) / 2, (sheet[first] - sheet[second]) / 2 * 0.95
    sheet[first], sheet[second] = middle + arm[::-1] * [-1, 1], middle - arm[::-1] * [-1, 1]
    keep = np.arange(len(sheet)) != nearest(0.5, 0.72)
    return sheet[keep], species[keep]


def bonds_of(positions: np.ndarray) -> np.ndarray:
    """Bonded pairs, with shape (n, 2): neighbours closer than 1.75 Å."""
    distance = np.hypot(*(positions[:, None] - positions[None]).transpose(2, 0, 1))
    return np.argwhere(np.triu(distance < 1.75, k=1))


def rings_of(positions: np.ndarray, edges: np.ndarray) -> list[list[int]]:
    """Faces with 5 to 9 atoms of the planar bond graph, by walking along each bond's left side."""
    neighbours: dict[int, list[int]] = {k: [] for k in range(len(positions))}
    for i, j in edges:
        neighbours[int(i)].append(int(j))
        neighbours[int(j)].append(int(i))
    for k, others in neighbours.items():
        others.sort(key=lambda n, k=k: np.arctan2(*(positions[n] - positions[k])[::-1]))
    seen, rings = set(), []
    for start in [(i, j) for i in neighbours for j in neighbours[i]]:
        ring, here = [], start
        while here not in seen:
            seen.add(here)
            ring.append(here[0])
            around = neighbours[here[1]]
            here = (here[1], around[(around.index(here[0]) + 1) % len(around)])
        if 5 <= len(ring) <= 9:
            rings.append(ring)
    return rings


def _frame_of(positions: np.ndarray, species: np.ndarray, random: np.random.Generator) -> np.ndarray:
    grid = np.arange(SIZE_PX) * PIXEL_A
    image = np.full((SIZE_PX, SIZE_PX), 0.3)
    for (x, y), symbol in zip(positions, species, strict=True):
        weight = 3.5 if symbol == "Si" else 1.0
        image += weight * np.outer(np.exp(-((grid - y) ** 2) / 0.32), np.exp(-((grid - x) ** 2) / 0.32))
    return random.poisson(image * 12).astype(np.float32)


def _write_images(folder: Path, random: np.random.Generator, sheet: np.ndarray, species: np.ndarray) -> None:
    edges = bonds_of(sheet)
    rings = rings_of(sheet, edges)
    for movie in MOVIES:
        moved = [sheet + random.normal(0, 0.04, sheet.shape) for _ in range(N_FRAMES)]
        everything = np.vstack(moved)
        n = len(everything)
        atoms = AtomTable(
            movie=np.full(n, movie), frame=np.repeat(np.arange(N_FRAMES), len(sheet)),
            x_px=everything[:, 0] / PIXEL_A, y_px=everything[:, 1] / PIXEL_A, x_A=everything[:, 0],
            y_A=everything[:, 1], species=np.tile(species, N_FRAMES), probability=np.full(n, 0.97),
            detection=np.full(n, 1.0), sigma_A=np.full(n, 0.05), track=np.tile(np.arange(len(sheet)), N_FRAMES),
        )  # fmt: skip
        atoms[: n // 2].write(folder / "decode" / "atoms" / movie / "chunk-0.parquet")
        atoms[n // 2 :].write(folder / "decode" / "atoms" / movie / "chunk-1.parquet")
        atoms.write(folder / "structure" / "atoms" / f"{movie}.parquet")
        images = np.stack([_frame_of(moved[k], species, random) for k in SAMPLES])
        smooth = np.stack([gaussian_filter(image, 2.5) for image in images])[:, ::MAP_STEP, ::MAP_STEP]
        seen = 1 / (1 + np.exp(-(smooth - 8.0) * 1.5))
        probability = np.stack([1 - seen, 0.98 * seen, 0.02 * seen], axis=1).astype(np.float16)
        spread = (0.3 * seen * (1 - seen)).astype(np.float16)
        (folder / "decode" / "maps").mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            folder / "decode" / "maps" / f"{movie}.npz", frame=np.array(SAMPLES), image=images,
            probability=probability, spread=spread, map_pixel_size_A=PIXEL_A * MAP_STEP, pixel_size_A=PIXEL_A,
        )  # fmt: skip
        (folder / "structure" / "bonds").mkdir(parents=True, exist_ok=True)
        parts = {"frame": np.array(SAMPLES)}
        for k in range(len(SAMPLES)):
            parts[f"edges_{k}"] = edges
            parts[f"ring_members_{k}"] = np.array([atom for ring in rings for atom in ring])
            parts[f"ring_sizes_{k}"] = np.array([len(ring) for ring in rings])
        np.savez_compressed(folder / "structure" / "bonds" / f"{movie}.npz", **parts)


def _write_json(folder: Path, random: np.random.Generator, n_C: int) -> None:
    write_json(folder / "provenance.json", {
        "hpcstem": "0.1.0", "git": None, "python": "3.12.1", "packages": {"numpy": "2.1.0", "ase": "3.23.0"},
        "hosts": ["node<1>"], "seed": 7, "campaign_sha256": "c" * 64,
        "inputs": [{"path": "movies/a&b.npy", "sha256": "a" * 64}], "started": "2030-01-01T10:00:00Z",
        "finished": "2030-01-01T10:05:00Z",
        "stages": [{"name": "frames", "seconds": 2.0, "status": "done"},
                   {"name": "decode", "seconds": 160, "status": "kept"}],
    })  # fmt: skip
    write_json(folder / "frames" / "frames.json", {"movies": [
        {
            "name": movie, "path": "movies/a&b.npy", "sha256": "a" * 64, "n_frames": N_FRAMES,
            "shape": [SIZE_PX, SIZE_PX], "pixel_size_A": PIXEL_A, "frame_time_s": 17.0,
            "beam_current_pA": 10.0, "voltage_kV": 60.0, "dwell_time_us": None, "dose_e_per_A2_per_frame": 1.13e6,
            "accumulated_dose_e_per_A2": [1.13e6 * (k + 1) for k in range(N_FRAMES)],
            "source": "simulated", "faults": [{"frame": 3, "kind": "hot pixel", "detail": "row 5 <b>"}],
        }
        for movie in MOVIES
    ]})  # fmt: skip
    steps = np.arange(1, 301)
    write_json(folder / "training" / "training.json", {
        "seconds": 41.0, "steps": 300, "step": steps.tolist(),
        "loss": list(0.9 * np.exp(-steps / 60) + 0.08 + 0.02 * random.random(300)),
        "n_parameters": 30123,
        "note": "A small member, trained to show the step; the movies were decoded by the shipped ensemble.",
    })  # fmt: skip
    write_json(folder / "decode" / "decode.json", {
        "model": {"name": "shipped", "sha256": "d" * 64, "n_members": 20, "pixel_size_A": 0.2}, "seconds": 160.2,
        "frames_per_second": 0.15, "n_frames": 2 * N_FRAMES, "n_atoms": {"C": 2 * N_FRAMES * n_C, "Si": 2 * N_FRAMES},
        "executor": "serial", "faults": [{"movie": MOVIES[1], "frame": 9, "kind": "truncated"}],
        "truth": {
            "C": {"precision": 0.998, "recall": 0.9951, "n_true": 7500}, "Si": {"precision": 1.0, "recall": None},
            "rmse_A": 0.031, "crlb_A": 0.027, "ratio_to_crlb": 1.15, "tolerance_A": 0.5,
        },
    })  # fmt: skip
    write_json(folder / "structure" / "structure.json", {
        "movies": [
            {
                "name": movie,
                "calibration": {"pixel_size_A": PIXEL_A, "standard_error_A": 0.0002, "first_peak_A": 1.431},
                "frames": [
                    {
                        "frame": k, "n_C": n_C - int(k > 7), "n_Si": 1,
                        "rings": {"5": 2, "6": 140 - k, "7": 2, "9": 1},
                        "defects": {
                            "single vacancy": 1 + int(k > 7), "Stone–Wales 5-7-7-5": int(k % 5 != 4), "Si on 3": 1,
                        },
                    }
                    for k in range(N_FRAMES)
                ],
                "n_tracks": n_C + 1, "drift_A": [[0.1 * k, -0.05 * k] for k in range(N_FRAMES)],
            }
            for movie in MOVIES
        ],
        "region": {
            "movie": MOVIES[0], "frame": 6, "centre_A": [20.0, 12.3], "size_A": 10.0, "n_atoms": 40, "n_H": 0,
            "formula": "C39Si", "reason": "Si on 3 neighbours", "mean_detection": 0.99, "mean_sigma_A": 0.05,
        },
    })  # fmt: skip


def _write_physics(folder: Path, random: np.random.Generator, sheet: np.ndarray, species: np.ndarray) -> None:
    r_A = np.arange(0.025, 8, 0.05)
    peak = sum(n / r * np.exp(-(((r_A - r) / 0.09) ** 2) / 2) for r, n in ((1.42, 2.4), (2.46, 4.8), (2.84, 2.4)))
    g = peak + 1 / (1 + np.exp(-(r_A - 3.4) * 6)) + 0.02 * random.random(len(r_A))
    (folder / "potentials").mkdir()
    curves = {"g_C-C": g, "g_C-Si": 0.9 * g, "g_Si-Si": 0 * g, "kde_C-C": np.convolve(g, np.ones(7) / 7, "same")}
    with np.errstate(divide="ignore"):
        curves |= {"w_C-C": np.where(g > 0.1, -np.log(g), np.nan), "error_C-C": np.full(len(r_A), 0.02)}
    np.savez_compressed(folder / "potentials" / "rdf.npz", r_A=r_A, **curves)
    write_json(folder / "potentials" / "rdf.json", {
        "first_peak_A": 1.421, "n_frames": 24, "n_pairs": {"C-C": 812345, "C-Si": 2031, "Si-Si": 0}, "bin_A": 0.05,
        "warnings": {MOVIES[0]: ["97% of each step is undone in the next"], MOVIES[1]: []},
    })  # fmt: skip
    chosen = (np.abs(sheet - [20.0, 12.3]) < 5).all(axis=1)
    cell = Atoms(list(species[chosen]), np.column_stack([sheet[chosen] - [15.0, 7.3], np.full(chosen.sum(), 7.5)]),
                 cell=[10.2, 10.2, 15], pbc=True)  # fmt: skip
    write(folder / "structure" / "region.xyz", cell, format="extxyz")
    relaxed = cell.copy()
    relaxed.positions += random.normal(0, 0.05, (len(cell), 3))
    relaxed.wrap()
    (folder / "simulation").mkdir()
    write(folder / "simulation" / "relaxed.xyz", [cell, relaxed], format="extxyz")
    jobs = [{
        "key": "relax", "kind": "relax", "temperature_K": None, "state": "COMPLETED", "energy_eV": -1234.5678,
        "converged": True, "n_steps": 37, "temperature_mean_K": None, "temperature_std_K": None,
        "energy_drift_meV_per_atom_ps": None, "wall_s": 12.0, "host": "node<1>",
        "bonds": {"C-C": {"mean_A": 1.424, "std_A": 0.02, "n": 55}, "Si-C": {"mean_A": 1.76, "std_A": None, "n": 3}},
    }]  # fmt: skip
    for target in (300, 1200):
        trajectory = []
        for step in range(40):
            image = cell.copy()
            image.info = {
                "step": step, "time_fs": step * 10.0, "energy_eV": -1230.0,
                "temperature_K": float(target * (1 + 0.1 * random.normal())),
            }  # fmt: skip
            trajectory.append(image)
        write(folder / "simulation" / f"nvt-{target}K.xyz", trajectory, format="extxyz")
        jobs.append({
            "key": f"nvt-{target}", "kind": "nvt", "temperature_K": target, "state": "COMPLETED", "energy_eV": -1230.0,
            "converged": None, "n_steps": 400, "temperature_mean_K": target * 1.01, "temperature_std_K": 31.0,
            "energy_drift_meV_per_atom_ps": -0.4, "wall_s": 333.0, "host": None, "bonds": None,
        })  # fmt: skip
    comparison = {
        "mean_error_x_percent": 1.2, "mean_error_y_percent": 0.9, "rms_displacement_A": 0.08, "max_displacement_A": 0.2,
    }  # fmt: skip
    write_json(
        folder / "simulation" / "simulation.json", {"method": "GFN1-xTB", "jobs": jobs, "comparison": comparison}
    )


def _add_motion(folder: Path, base: Path) -> None:
    """Add kinetics and forces that were found in other atoms; and a movie that has none."""
    shutil.copytree(kinetics_run(base).run.folder / "kinetics", folder / "kinetics")
    found = motion_run(base).run.folder / "potentials"
    shutil.copytree(found / "fits", folder / "potentials" / "fits")
    fits = json.loads((found / "fits.json").read_text(encoding="utf-8"))
    fits["movies"].append({"name": MOVIES[0], "because": "frames of the trajectory; got <2>", "fit": None})
    write_json(folder / "potentials" / "fits.json", fits)


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with every stage; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "quick <run>"
    folder.mkdir()
    random = np.random.default_rng(np.random.SeedSequence(11))
    sheet, species = graphene_sheet(FIELD_A)
    (folder / "campaign.yaml").write_text("name: </pre><script>alert(1)</script>\nseed: 7\n", encoding="utf-8")
    _write_json(folder, random, int((species == "C").sum()))
    _write_images(folder, random, sheet, species)
    _write_physics(folder, random, sheet, species)
    _add_motion(folder, tmp_path_factory.getbasetemp())
    return folder


@pytest.fixture
def run(whole_run: Path, tmp_path: Path) -> Path:
    """A copy of the whole run that a test may change."""
    return Path(shutil.copytree(whole_run, tmp_path / whole_run.name))


@pytest.fixture
def edit_json(run: Path):
    """Change one JSON file of `run` in place."""

    def edit(name: str, change) -> None:
        value = json.loads((run / name).read_text(encoding="utf-8"))
        change(value)
        write_json(run / name, value)

    return edit
