"""Positions fitted to the frame: error, bias and stated uncertainty, and what the fit must not fall for."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import PROBE, acquisition

from hpcstem.frames import open_movie
from hpcstem.imaging import acquire, ideal_image
from hpcstem.imaging.bounds import position_bound_A
from hpcstem.imaging.evolution import evolving_sheet
from hpcstem.imaging.resample import resample, to_pixels
from hpcstem.segmentation import decode_frame, refine
from hpcstem.segmentation.score import score
from hpcstem.segmentation.spot_fit import SpotFit
from hpcstem.structure.graphene import graphene_sheet

SHAPE, PIXEL_A = (512, 500), 0.1
FIELD_A = np.array(SHAPE[::-1]) * PIXEL_A
START_SIGMA_A = 0.05
LARGEST_RATIO = 1.2
"""Of the root mean square error per axis to the Cramér–Rao bound, in a frame without errors of the scan."""


@dataclass
class Scene:
    """A frame, where its atoms are, and the lattice sites that they were displaced from."""

    frame: np.ndarray
    sites_A: np.ndarray
    true_A: np.ndarray
    species: np.ndarray
    displaced: np.ndarray
    bound_A: float

    @property
    def inside(self):
        """Atoms far enough from the edge to be fitted and to have all their neighbours in the frame."""
        return ((self.sites_A > 1.5) & (self.sites_A < FIELD_A - 1.5)).all(axis=1)


def scene(electrons_per_carbon, seed, row_jitter_A=0.0, n_silicon=8, probe=PROBE):
    """Most atoms 0.03 Å off their sites per axis, an eighth by 0.05 to 0.2 Å in any direction."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    sites, species = next(iter(evolving_sheet(tuple(FIELD_A), 1, n_silicon, 3.0, 0, rng)))
    displaced = rng.random(len(sites)) < 0.125
    angle, length = rng.uniform(0, 2 * np.pi, len(sites)), rng.uniform(0.05, 0.2, len(sites))
    far = np.column_stack([np.cos(angle), np.sin(angle)]) * length[:, None]
    true = sites + np.where(displaced[:, None], far, rng.normal(0, 0.03, sites.shape))
    taken = replace(acquisition(electrons_per_carbon), row_jitter_A=row_jitter_A)
    frame, _ = acquire(true, species, SHAPE, PIXEL_A, probe, taken, rng)
    seen = ((sites > -0.05) & (sites < FIELD_A - 0.05)).all(axis=1)
    carbon = int(np.where(species == "C", np.linalg.norm(true - FIELD_A / 2, axis=1), np.inf).argmin())
    bound = position_bound_A(true, species, carbon, PIXEL_A, probe, taken.dose_e_per_A2, taken.background)
    return Scene(frame, sites[seen], true[seen], species[seen], displaced[seen], bound)


def refined(one, start_A=None):
    """Refined from the sites, as a network that knows nothing but the lattice would find them."""
    start_A = one.sites_A if start_A is None else start_A
    return refine(one.frame, PIXEL_A, start_A / PIXEL_A, one.species, np.full(len(start_A), START_SIGMA_A / PIXEL_A))


def measured(scenes):
    """Errors of carbon that sits near its site, their z-scores, and displacements true and found of the others."""
    errors, z_scores, truth, found = [], [], [], []
    for one in scenes:
        result = refined(one)
        error = result.positions_px * PIXEL_A - one.true_A
        assert result.moved[one.inside].mean() > 0.999
        near = one.inside & result.moved & ~one.displaced & (one.species == "C")
        errors.append(error[near])
        z_scores.append(error[near] / (result.sigma_px[near, None] * PIXEL_A))
        far = one.inside & result.moved & one.displaced & (one.species == "C")
        truth.append((one.true_A - one.sites_A)[far])
        found.append((one.true_A - one.sites_A + error)[far])
    return tuple(np.concatenate(part) for part in (errors, z_scores, truth, found))


def slope(truth, found):
    """Of found on true displacements: 1 without bias, 0 where every atom is put on its site."""
    return (truth * found).sum() / (truth**2).sum()


@pytest.mark.parametrize("electrons_per_carbon", [200, 400, 1000, 4000])
def test_error_bias_and_uncertainty(electrons_per_carbon):
    scenes = [scene(electrons_per_carbon, seed) for seed in (1, 2, 3)]
    error, z_scores, truth, found = measured(scenes)
    bound_A = np.mean([one.bound_A for one in scenes])
    ratio = np.sqrt((error**2).mean()) / bound_A
    drawn_back = slope(truth, found)
    uncertainty = np.sqrt((error**2).mean() / (truth**2).sum())
    print(
        f"{electrons_per_carbon} e/C: {ratio:.3f} × bound of {bound_A:.4f} Å, z-scores {z_scores.std():.3f}, "
        f"slope {drawn_back:.3f} ± {uncertainty:.3f}"
    )
    assert ratio < LARGEST_RATIO
    assert 0.9 < z_scores.std() < 1.1
    assert np.abs(z_scores.mean(axis=0)).max() < 0.1
    assert abs(drawn_back - 1) < 3 * uncertainty
    assert drawn_back > 0.9


@pytest.mark.parametrize("electrons_per_carbon", [400, 4000])
def test_uncertainty_covers_the_rows_of_the_scan(electrons_per_carbon):
    error, z_scores, truth, found = measured([scene(electrons_per_carbon, seed, 0.03) for seed in (4, 5, 6)])
    print(f"{electrons_per_carbon} e/C: RMSE {np.sqrt((error**2).mean()):.4f} Å, z-scores {z_scores.std():.3f}")
    assert 0.9 < z_scores.std() < 1.1
    assert slope(truth, found) == pytest.approx(1, abs=0.05)


def test_uncertainty_covers_a_probe_that_is_not_round():
    """Its sublattices are drawn apart by more than their noise; the common shift, which no frame tells, is left out."""
    skewed = replace(PROBE, astigmatism_A=20.0, astigmatism_rad=0.5, coma_A=400.0, defocus_A=10.0)
    z_scores = []
    for one in (scene(4000, seed, probe=skewed) for seed in (1, 2, 3)):
        result = refined(one)
        near = one.inside & result.moved & ~one.displaced & (one.species == "C")
        error = (result.positions_px * PIXEL_A - one.true_A)[near]
        z_scores.append((error - error.mean(axis=0)) / (result.sigma_px[near, None] * PIXEL_A))
    z_scores = np.concatenate(z_scores)
    print(f"z-scores {z_scores.std():.3f}")
    assert 0.9 < z_scores.std() < 1.1


def test_rows_are_put_right_in_part():
    """Against the same fit without: less error along x, and none taken from y."""
    one = scene(2000, 7, row_jitter_A=0.08)
    with_rows = refined(one).positions_px * PIXEL_A - one.true_A
    without = fitted(one).positions_A - one.true_A
    plain, better = (np.sqrt((e[one.inside] ** 2).mean(axis=0)) for e in (without, with_rows))
    print(f"RMSE (x, y): {plain} Å as scanned, {better} Å with rows put right")
    assert better[0] < 0.8 * plain[0]
    assert better[1] < 1.1 * plain[1]


@dataclass
class Fitted:
    fit: SpotFit

    @property
    def positions_A(self):
        return np.column_stack([self.fit.x, self.fit.y]) * PIXEL_A


def fitted(one, sweeps=4):
    image = (one.frame / one.frame.std()).astype(np.float32)
    fit = SpotFit(image, PIXEL_A, one.sites_A / PIXEL_A, np.where(one.species == "Si", 4.2, 1.0))
    fit.sweep(1)
    fit.weigh_pixels()
    fit.expect_equal_heights(one.species)
    fit.sweep(sweeps)
    return Fitted(fit)


@pytest.fixture(scope="module")
def usual():
    return scene(600, 8)


def test_start_does_not_matter(usual):
    """From the truth or from the lattice, the answer is the frame's."""
    from_sites, from_truth = refined(usual), refined(usual, usual.true_A)
    both = from_sites.moved & from_truth.moved & usual.inside
    apart = (from_sites.positions_px - from_truth.positions_px)[both] * PIXEL_A
    print(f"RMS difference {np.sqrt((apart**2).mean()):.4f} Å at a bound of {usual.bound_A:.4f} Å")
    assert np.sqrt((apart**2).mean()) < 0.15 * usual.bound_A


def test_silicon_is_found_better_than_carbon(usual):
    result = refined(usual)
    silicon, carbon = (usual.inside & (usual.species == symbol) for symbol in ("Si", "C"))
    error = result.positions_px * PIXEL_A - usual.true_A
    assert silicon.sum() >= 4
    assert np.median(result.sigma_px[silicon]) < 0.5 * np.median(result.sigma_px[carbon])
    assert np.abs(error[silicon]).max() < 4 * result.sigma_px[silicon].max() * PIXEL_A


def test_nothing_is_changed_in_place_and_again_is_the_same(usual):
    frame, sites = usual.frame.copy(), usual.sites_A.copy()
    first, second = refined(usual), refined(usual)
    np.testing.assert_array_equal(usual.frame, frame)
    np.testing.assert_array_equal(usual.sites_A, sites)
    np.testing.assert_array_equal(first.positions_px, second.positions_px)
    np.testing.assert_array_equal(first.sigma_px, second.sigma_px)


@given(st.floats(0.01, 1e3), st.floats(-1e3, 1e3))
@settings(max_examples=8, deadline=None)
def test_gain_and_offset_of_the_detector_do_not_matter(usual, gain, offset):
    plain, scaled = refined(usual), refined(replace(usual, frame=gain * usual.frame + gain * offset))
    both = plain.moved & scaled.moved
    assert both.sum() > 0.99 * plain.moved.sum()
    assert np.abs(plain.positions_px - scaled.positions_px)[both].max() < 0.02
    np.testing.assert_allclose(scaled.sigma_px[both], plain.sigma_px[both], rtol=0.02)


def test_integer_frames(usual):
    counts = np.clip(np.rint(usual.frame), 0, None)
    whole, same = refined(replace(usual, frame=counts.astype(np.uint16))), refined(replace(usual, frame=counts))
    np.testing.assert_allclose(whole.positions_px, same.positions_px, atol=1e-3)


def test_turned_frame_gives_turned_atoms(usual):
    """Rows and columns are treated alike where no row is off."""
    turned = refine(
        usual.frame.T, PIXEL_A, usual.sites_A[:, ::-1] / PIXEL_A, usual.species, np.full(len(usual.sites_A), 0.5)
    )
    plain = refined(usual)
    both = plain.moved & turned.moved & usual.inside
    apart = (plain.positions_px - turned.positions_px[:, ::-1])[both] * PIXEL_A
    assert np.sqrt((apart**2).mean()) < 0.25 * usual.bound_A


def test_hot_and_dead_pixels_change_nothing_else(usual):
    rng = np.random.default_rng(9)
    frame = usual.frame.copy()
    pixels = rng.integers(0, SHAPE[0], 120), rng.integers(0, SHAPE[1], 120)
    frame[pixels] = rng.choice([0, 1e3, 1e6], 120)
    plain, spiked = refined(usual), refined(replace(usual, frame=frame))
    apart = (plain.positions_px - spiked.positions_px)[plain.moved & spiked.moved] * PIXEL_A
    assert spiked.moved.sum() > 0.99 * plain.moved.sum()
    assert np.sqrt((apart**2).mean()) < 0.5 * usual.bound_A


def test_an_atom_that_is_not_there_stays_where_it_was_put(usual):
    """In the hole there is nothing to fit: no position, and no wrong certainty."""
    grid = np.stack(np.meshgrid(*(np.arange(3, side - 3, 0.5) for side in FIELD_A)), axis=-1).reshape(-1, 2)
    distance = np.linalg.norm(grid[:, None] - usual.sites_A, axis=2).min(axis=1)
    assert distance.max() > 2.2
    empty = grid[distance.argmax()]
    sites, species = np.vstack([usual.sites_A, empty]), np.append(usual.species, "C")
    result = refine(usual.frame, PIXEL_A, sites / PIXEL_A, species, np.full(len(sites), 0.5))
    moved_A = np.linalg.norm(result.positions_px[-1] * PIXEL_A - empty)
    assert not result.moved[-1] or result.sigma_px[-1] > 3 * np.median(result.sigma_px[:-1])
    assert moved_A <= 0.4
    kept = ~result.moved
    np.testing.assert_array_equal(result.positions_px[kept], (sites / PIXEL_A)[kept])
    np.testing.assert_array_equal(result.sigma_px[kept], 0.5)


def test_atoms_at_the_edge_stay(usual):
    result = refined(usual)
    from_edge = np.minimum(usual.sites_A, FIELD_A - PIXEL_A - usual.sites_A).min(axis=1)
    assert (from_edge < 0.9).sum() > 50
    assert not result.moved[from_edge < 0.9].any()
    np.testing.assert_array_equal(result.positions_px[from_edge < 0.9], usual.sites_A[from_edge < 0.9] / PIXEL_A)


@pytest.mark.parametrize(
    "frame",
    [np.zeros((64, 64)), np.full((64, 64), 7.0), np.random.default_rng(3).poisson(5.0, (64, 64)).astype(float)],
    ids=["zero", "flat", "noise"],
)
def test_frames_without_atoms_are_survived(frame):
    start = np.array([[20.0, 20.0], [34.0, 20.0], [27.0, 32.0]])
    result = refine(frame, PIXEL_A, start, np.full(3, "C"), np.full(3, 0.5))
    assert np.isfinite(result.positions_px).all()
    assert np.linalg.norm(result.positions_px - start, axis=1).max() <= 4.0001
    assert (result.sigma_px >= 0.5).all()


def test_no_atoms():
    result = refine(np.ones((40, 40)), PIXEL_A, np.empty((0, 2)), np.empty(0, "<U2"), np.empty(0))
    assert result.positions_px.shape == (0, 2)
    assert result.sigma_px.shape == result.moved.shape == (0,)


@pytest.mark.parametrize("pixel_size_A", [0.05, 0.08, 0.3])
def test_other_pixel_sizes(pixel_size_A):
    """Fine ones are put together, and no more than a few hundredths of the precision goes with them."""
    rng = np.random.default_rng(10)
    shape = (round(24 / pixel_size_A),) * 2
    sites = graphene_sheet(30, 30, 0.3).positions[:, :2] - 3
    species = np.full(len(sites), "C")
    true = sites + rng.normal(0, 0.05, sites.shape)
    taken = replace(acquisition(1000), row_jitter_A=0.0)
    frame, _ = acquire(true, species, shape, pixel_size_A, PROBE, taken, rng)
    seen = ((sites > 0) & (sites < 24 - pixel_size_A)).all(axis=1)
    result = refine(frame, pixel_size_A, sites[seen] / pixel_size_A, species[seen], np.full(seen.sum(), 0.5))
    inside = result.moved & ((sites[seen] > 1.5) & (sites[seen] < 22.5)).all(axis=1)
    error = (result.positions_px * pixel_size_A - true[seen])[inside]
    z_scores = error / (result.sigma_px[inside, None] * pixel_size_A)
    carbon = int(np.linalg.norm(true - 12, axis=1).argmin())
    bound_A = position_bound_A(true, species, carbon, pixel_size_A, PROBE, taken.dose_e_per_A2, taken.background)
    ratio = np.sqrt((error**2).mean()) / bound_A
    print(f"{pixel_size_A} Å: {inside.sum()} atoms, {ratio:.3f} × bound of {bound_A:.4f} Å, z {z_scores.std():.2f}")
    assert inside.sum() > 150
    assert ratio < LARGEST_RATIO
    assert 0.85 < z_scores.std() < 1.15


def test_resampled_frames_do_not_look_more_certain():
    """Interpolated pixels share their noise; the uncertainty must not count them as independent."""
    one = scene(1000, 11, n_silicon=0)
    finer = PIXEL_A / 2
    frame = resample(one.frame, PIXEL_A, finer)
    result = refine(
        frame, finer, to_pixels(one.sites_A / PIXEL_A, PIXEL_A, finer), one.species, np.full(len(one.sites_A), 1.0)
    )
    back_A = to_pixels(result.positions_px, finer, PIXEL_A) * PIXEL_A
    near = one.inside & result.moved & ~one.displaced
    z_scores = (back_A - one.true_A)[near] / (result.sigma_px[near, None] * finer)
    print(f"z-scores {z_scores.std():.2f}")
    assert 0.7 < z_scores.std() < 1.3


def test_a_dip_is_no_peak():
    sites = graphene_sheet(12, 12).positions[:, :2] + 1
    image = -ideal_image(sites, np.full(len(sites), "C"), (140, 140), PIXEL_A, PROBE)
    start = sites / PIXEL_A
    result = refine(image, PIXEL_A, start, np.full(len(sites), "C"), np.full(len(sites), 0.5))
    assert not result.moved.any()
    np.testing.assert_array_equal(result.positions_px, start)


def test_decoding_with_and_without(usual, ensemble):
    """Same atoms; the networks' positions know the lattice, those of the fit know the frame."""
    plain = decode_frame(usual.frame, PIXEL_A, ensemble, refine=False)
    fine = decode_frame(usual.frame, PIXEL_A, ensemble, refine=True)
    np.testing.assert_array_equal(plain.species, fine.species)
    np.testing.assert_array_equal(plain.probability, fine.probability)
    np.testing.assert_allclose(fine.positions_A, fine.positions_px * PIXEL_A)
    nearest = np.linalg.norm(plain.positions_A[:, None] - usual.sites_A, axis=2).argmin(axis=1)
    far = (usual.displaced & usual.inside & (usual.species == "C"))[nearest]
    true = (usual.true_A - usual.sites_A)[nearest][far]
    by_networks, by_fit = (slope(true, d.positions_A[far] - usual.sites_A[nearest][far]) for d in (plain, fine))
    print(f"slope of displacements: {by_networks:.2f} by the networks, {by_fit:.2f} by the fit")
    assert by_fit == pytest.approx(1, abs=0.15)
    assert by_networks < by_fit


@pytest.mark.real
@pytest.mark.parametrize("name", ["G-GrainBoundary-4nm", "G-Si-2nm"])
def test_against_the_authors_detections(shared_data, ensemble, name):
    """The same atoms, as far from theirs as the stated uncertainty says and not farther."""
    folder, pixel_A = shared_data / "stem" / "graphene-si", 0.078125
    frame = open_movie(folder / f"{name}.hdf5", pixel_size_A=pixel_A).read(0, 1)[0]
    found = decode_frame(frame, pixel_A, ensemble)
    theirs_A = np.load(folder / f"{name}-coord.npy")[:, [1, 0]] * pixel_A
    field_A = (frame.shape[1] * pixel_A, frame.shape[0] * pixel_A)
    atoms = np.full(len(found.species), "atom"), np.full(len(theirs_A), "atom")
    result = score(found.positions_A, atoms[0], theirs_A, atoms[1], field_A)["atom"]
    sigma_A = np.median(found.sigma_A)
    print(f"{name}: F1 {result.f1:.3f}, RMS per axis {result.rmse_A / np.sqrt(2):.3f} Å, sigma {sigma_A:.3f} Å")
    assert result.f1 > 0.98
    assert result.rmse_A / np.sqrt(2) < 1.3 * sigma_A


@pytest.mark.real
def test_sides_of_the_silicon_trimer_scatter_less_than_by_others(shared_data, ensemble):
    """The frames' authors state 2.243 ± 0.067 Å."""
    movie = np.load(shared_data / "stem" / "graphene-si" / "Si3C6_trimer_movie.npz", allow_pickle=False)
    sides = []
    for frame in movie["frames"]:
        found = decode_frame(frame, 0.078125, ensemble)
        silicon = found.positions_A[found.species == "Si"]
        sides.append(np.linalg.norm(silicon - np.roll(silicon, 1, axis=0), axis=1))
    print(f"Si-Si {np.mean(sides):.3f} ± {np.std(sides):.3f} Å")
    assert np.std(sides) < 0.067
    assert np.mean(sides) == pytest.approx(2.243, abs=0.04)
