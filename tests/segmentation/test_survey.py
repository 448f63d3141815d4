"""What covers a frame, what the ensemble has no name for, and that neither is seen where it is not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree
from simulated import PROBE, acquisition

from hpcstem.imaging import acquire
from hpcstem.imaging.evolution import evolving_sheet
from hpcstem.imaging.training import OBSCURING
from hpcstem.segmentation import decode, decode_frame
from hpcstem.segmentation.candidates import Reason
from hpcstem.segmentation.cover import Cover
from hpcstem.segmentation.frame_record import FrameRecord

SHAPE, PIXEL_A = (200, 200), 0.16
FIELD_A = np.array(SHAPE[::-1]) * PIXEL_A


def sheet(seed, hole_radius_A=0.0):
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    return next(iter(evolving_sheet(tuple(FIELD_A), 1, 4, hole_radius_A, 0, rng))), rng


def frame_of(positions_A, species, rng, electrons_per_carbon=1000, **options):
    taken = replace(acquisition(electrons_per_carbon), **options)
    return acquire(positions_A, species, SHAPE, PIXEL_A, PROBE, taken, rng)


def cells_of(cover):
    """Centres (x, y) of the cells of a cover [Å], in their order."""
    rows, columns = (np.arange(n) + 0.5 for n in cover.classes.shape)
    return np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2) * cover.cell_A


@pytest.mark.parametrize("electrons_per_carbon", [100, 400, 2000])
def test_clean_sheet_is_material(ensemble, electrons_per_carbon):
    (positions_A, species), rng = sheet(1)
    found = decode_frame(frame_of(positions_A, species, rng, electrons_per_carbon)[0], PIXEL_A, ensemble, refine=False)
    assert found.survey.cover.area_A2(Cover.MATERIAL) == pytest.approx(FIELD_A.prod(), rel=0.05)
    assert found.survey.cover.area_A2(Cover.CONTAMINATION) == 0
    assert found.n_obscured == 0
    assert len(found.survey.candidates) <= 1  # of 400 atoms


@pytest.mark.parametrize("electrons_per_carbon", [200, 2000])
def test_hole_is_vacuum(ensemble, electrons_per_carbon):
    (positions_A, species), rng = sheet(2, hole_radius_A=6.0)
    frame, _ = frame_of(positions_A, species, rng, electrons_per_carbon)
    cover = decode_frame(frame, PIXEL_A, ensemble, refine=False).survey.cover
    cells = cells_of(cover)
    far = cKDTree(positions_A).query(cells)[0] > 2.2
    seen = cover.at(cells) == Cover.VACUUM
    print(f"{electrons_per_carbon} e/C: {(far & seen).sum()} of {far.sum()} cells of the hole, {seen.sum()} in all")
    assert far.sum() > 20
    assert seen[far].mean() > 0.95
    assert seen.sum() < 2.5 * far.sum()  # the rim belongs to whoever likes
    assert (cover.at(cells) != Cover.CONTAMINATION).all()


def test_contamination_hides_and_is_left_out(ensemble):
    (positions_A, species), rng = sheet(3)
    frame, layer = frame_of(positions_A, species, rng, contamination=8.0, contamination_cover=0.4)
    found = decode_frame(frame, PIXEL_A, ensemble)
    cover = found.survey.cover
    cells = cells_of(cover)
    row, column = np.floor(cells[:, ::-1] / PIXEL_A).astype(int).T
    true, seen = layer[row, column], cover.at(cells) == Cover.CONTAMINATION
    print(f"{seen[true > OBSCURING].mean():.2f} of what hides seen, {seen[true < 0.5].mean():.3f} of the rest")
    assert seen[true > OBSCURING].mean() > 0.9
    assert seen[true < 0.5].mean() < 0.03
    assert (cover.at(found.positions_A) != Cover.CONTAMINATION).all()
    assert len(found.species) == len(found.detection) == len(found.sigma_A)
    record = FrameRecord.of("m", 0, found.survey, found.n_obscured)
    assert record.contamination_A2 == pytest.approx(seen.sum() * cover.cell_A**2)


def test_where_no_atoms_are_nothing_is_said(ensemble, rng):
    """Networks do find some in noise, and their fit has a profile that may be a peak; but a lattice it is not."""
    for side in (96, 112, 128):
        found = decode_frame(rng.poisson(20.0, (side, side)), PIXEL_A, ensemble, refine=False)
        assert found.survey.cover is None
        assert found.n_obscured == 0


@pytest.mark.parametrize("electrons_per_carbon", [200, 1000])
@pytest.mark.parametrize("element", ["Cr", "Mo"])
def test_unknown_species_are_candidates(ensemble, electrons_per_carbon, element):
    (positions_A, species), rng = sheet(5)
    species = np.where(species == "Si", "C", species)
    inside = np.flatnonzero(((positions_A > 5) & (positions_A < FIELD_A - 5)).all(axis=1))
    chosen = inside[[20, 150]]
    species[chosen] = element
    frame, _ = frame_of(positions_A, species, rng, electrons_per_carbon)
    candidates = decode_frame(frame, PIXEL_A, ensemble).survey.candidates
    places = np.array([[one.x_A, one.y_A] for one in candidates])
    distance = cKDTree(places).query(positions_A[chosen])[0]
    print(f"{element} at {electrons_per_carbon} e/C: {len(candidates)} candidates, distances {distance.round(2)} Å")
    assert (distance < 0.7).all()
    assert {Reason.INTENSITY, Reason.UNEXPLAINED} & {one.reason for one in candidates}
    assert cKDTree(positions_A[chosen]).query(places)[0].max() < 4.0  # nothing far from either


def test_records_of_frames(ensemble):
    (positions_A, species), rng = sheet(6, hole_radius_A=5.0)
    frames = np.stack([frame_of(positions_A, species, rng)[0] for _ in range(2)])
    table = decode(frames, PIXEL_A, ensemble, "film", np.array([3, 8]), refine=False)
    records = [FrameRecord.from_dict(value) for value in table.metadata["frames"]]
    assert [(one.movie, one.frame) for one in records] == [("film", 3), ("film", 8)]
    assert all(one.vacuum_A2 > 30 for one in records)


@pytest.mark.real
def test_real_silicon_is_neither_contamination_nor_unknown(shared_data, ensemble):
    movie = np.load(shared_data / "stem" / "graphene-si" / "Si3C6_trimer_movie.npz", allow_pickle=False)
    for frame in movie["frames"][::4]:
        found = decode_frame(frame, 0.078125, ensemble)
        assert (found.species == "Si").sum() == 3
        assert found.survey.cover.area_A2(Cover.CONTAMINATION) == 0
        assert found.survey.candidates == ()
