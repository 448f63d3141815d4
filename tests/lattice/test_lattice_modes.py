import numpy as np
import pytest

from hpcstem.errors import StructureError
from hpcstem.execution import SerialExecutor
from hpcstem.lattice.alloy import Pairing, distortions, draw_alloy, row_directions, seen_atoms
from hpcstem.lattice.assignment import assign_sites
from hpcstem.lattice.distortions import CLUSTER, LocalDistortions, local_distortions
from hpcstem.lattice.mode_statistics import ModeStatisticsAnalysis, global_breaking, local_breaking
from hpcstem.lattice.model import pair_additive
from hpcstem.lattice.modes import ModeAnalysis, hexagon_operations
from hpcstem.lattice.triangular import lattice_vectors

ANGLE_RAD = 0.1


def alloy(fraction_B, n_domains, seed, amplitude_A=0.3, sigma_A=0.04, angle_rad=ANGLE_RAD):
    chain, scene = np.random.SeedSequence((31, seed)).spawn(2)
    generator = np.random.default_rng(scene)
    grid = draw_alloy(pair_additive(), np.array([0.2, 0.0]), 48, fraction_B, chain)
    shifts_A, direction = distortions(grid, Pairing(amplitude_A, n_domains), angle_rad, generator)
    seen = seen_atoms(grid, 3.2, angle_rad, shifts_A, sigma_A, 0.01, generator)
    return local_distortions(assign_sites(*seen)), direction


def pairing_patterns():
    """What paired rows do to a site and its shell, for the three directions, in axes with x along a₁."""
    patterns = []
    for parity, normal in zip([(0, 1), (1, 0), (1, 1)], row_directions(0.0), strict=True):
        sign = 1 - 2 * ((CLUSTER @ parity) % 2)
        pattern = sign[:, None] * normal
        patterns.append((pattern - pattern.mean(axis=0)).ravel())
    return np.array(patterns)


@pytest.fixture(scope="module")
def images():
    return [alloy(x, n, k)[0] for k, (x, n) in enumerate([(0.1, 40), (0.5, 40), (0.9, 1)])]


@pytest.fixture(scope="module")
def modes(images):
    return SerialExecutor().run(ModeAnalysis(), images)


def test_the_twelve_operations_are_a_group_of_rotations():
    operations = hexagon_operations()
    for operation in operations:
        np.testing.assert_allclose(operation @ operation.T, np.eye(14), atol=1e-12)
    products = {(np.round(a @ b, 6) + 0.0).tobytes() for a in operations for b in operations}
    assert len(products) == len({(np.round(o, 6) + 0.0).tobytes() for o in operations}) == 12


def test_modes_are_orthonormal_and_the_translations_last(modes):
    np.testing.assert_allclose(modes.vectors @ modes.vectors.T, np.eye(14), atol=1e-9)
    assert (np.diff(modes.variance_A2) <= 1e-12).all()
    np.testing.assert_allclose(modes.variance_A2[12:], 0, atol=1e-12)
    translation = np.tile([1.0, 0.0], 7) / np.sqrt(7)
    assert np.linalg.norm(modes.vectors[12:] @ translation) == pytest.approx(1)


def test_multiplets_are_left_in_place_by_every_operation(modes):
    for number in range(modes.multiplet.max() + 1):
        basis = modes.vectors[modes.multiplet == number]
        projector = basis.T @ basis
        for operation in hexagon_operations():
            np.testing.assert_allclose(operation @ projector @ operation.T, projector, atol=1e-5)


def test_the_three_dominant_modes_are_those_of_the_paired_rows(modes):
    assert modes.multiplet[:4].tolist() == [0, 1, 1, 2]
    assert modes.variance_A2[2] > 5 * modes.variance_A2[3]
    inside = pairing_patterns() @ modes.vectors[:3].T
    lengths = np.linalg.norm(pairing_patterns(), axis=1)
    np.testing.assert_allclose(np.linalg.norm(inside, axis=1), lengths, rtol=2e-3)


def test_modes_do_not_depend_on_how_the_image_lies(modes):
    turned = [alloy(x, n, k, angle_rad=2.0)[0] for k, (x, n) in enumerate([(0.1, 40), (0.5, 40), (0.9, 1)])]
    other = SerialExecutor().run(ModeAnalysis(), turned)
    for number in range(2):
        first, second = (m.vectors[m.multiplet == number] for m in (modes, other))
        assert np.linalg.norm(first @ second.T) == pytest.approx(np.sqrt(len(first)), rel=1e-3)
    np.testing.assert_allclose(other.variance_A2[:3], modes.variance_A2[:3], rtol=0.05)


def test_noise_alone_has_the_variance_of_the_positions():
    distortions_A, _ = alloy(0.5, 1, 9, amplitude_A=0.0, sigma_A=0.1)
    variance_A2 = SerialExecutor().run(ModeAnalysis(), [distortions_A]).variance_A2
    np.testing.assert_allclose(variance_A2[:12].mean(), 0.01, rtol=0.03)


def test_amplitude_follows_the_local_composition(images, modes):
    statistics = SerialExecutor().run(ModeStatisticsAnalysis(modes), images)
    mean_square_A2 = statistics[1].mean_square_A2.sum(axis=0)
    assert (np.diff(mean_square_A2[1:7]) > 0).all()
    assert [round(one.fraction_B, 1) for one in statistics] == [0.1, 0.5, 0.9]
    for one, image in zip(statistics, images, strict=True):
        np.testing.assert_array_equal(one.histogram.sum(axis=2), [np.bincount(image.n_B, minlength=8)] * 3)


def test_sites_break_their_symmetry_before_the_image_does(images, modes):
    statistics = SerialExecutor().run(ModeStatisticsAnalysis(modes), images)
    assert statistics[1].local_breaking > 0.2 > statistics[1].global_breaking
    assert statistics[2].local_breaking > 0.8
    assert statistics[2].global_breaking > 0.9
    assert all(0 < one.local_error < 0.2 and 0 < one.global_error < 0.2 for one in statistics)


def test_breaking_of_known_distributions():
    generator = np.random.default_rng(0)
    gaussian = generator.normal(size=(200_000, 3))
    assert local_breaking(gaussian) == pytest.approx(0, abs=0.02)
    assert global_breaking(gaussian) == pytest.approx(0, abs=0.01)
    shell = gaussian / np.linalg.norm(gaussian, axis=1, keepdims=True)
    assert local_breaking(shell) == pytest.approx(1)
    assert global_breaking(shell) == pytest.approx(0, abs=0.01)
    signs = generator.choice([-1.0, 1.0], (1000, 1)) * np.array([[0.6, 0.0, 0.8]])
    assert global_breaking(signs) == pytest.approx(1)


def test_jackknife_error_is_the_scatter_over_images(modes):
    several = [alloy(0.5, 40, 100 + k)[0] for k in range(12)]
    statistics = SerialExecutor().run(ModeStatisticsAnalysis(modes), several)
    scatter = np.std([one.local_breaking for one in statistics], ddof=1)
    stated = np.mean([one.local_error for one in statistics])
    assert 0.5 < stated / scatter < 2.0


def test_a_split_multiplet_is_refused(modes):
    with pytest.raises(StructureError, match=r"whole multiplets: one of \[1, 3"):
        ModeStatisticsAnalysis(modes, 2)


def test_too_few_sites_are_refused(modes):
    few = LocalDistortions(np.zeros((5, 14)), np.zeros(5, int), np.zeros(5, int), 0.5)
    with pytest.raises(StructureError, match="at least 14"):
        SerialExecutor().run(ModeAnalysis(), [few])
    with pytest.raises(StructureError, match="in at least 4"):
        ModeStatisticsAnalysis(modes).process(few)


def test_distortions_are_cut_from_complete_clusters_only():
    places = np.stack(np.indices((9, 9)), axis=-1).reshape(-1, 2)
    positions_A = places @ lattice_vectors(3.0, 0.0)
    shifted = np.flatnonzero((places == (4, 4)).all(axis=1))[0]
    positions_A[shifted] += (0.2, 0.1)
    missing = np.flatnonzero((places == (2, 2)).all(axis=1))[0]
    found = local_distortions(assign_sites(np.delete(positions_A, missing, axis=0), np.zeros(80, int)))
    assert len(found.values_A) == 49 - 7
    assert np.linalg.norm(found.values_A.reshape(-1, 7, 2).sum(axis=1)) == pytest.approx(0, abs=1e-9)
    assert np.abs(found.values_A).max() == pytest.approx(0.2 * 6 / 7, rel=0.05)
