"""The shipped ensemble on frames that microscopes took.

The detections that come with them are those of the authors' network, not the truth: row, column, class.
"""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from hpcstem.frames import open_movie
from hpcstem.segmentation import decode_frame
from hpcstem.segmentation.score import match, score

pytestmark = pytest.mark.real

PIXEL_A = 0.078125


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "stem" / "graphene-si"


def frame_of(folder, name, pixel_size_A=PIXEL_A):
    return open_movie(folder / f"{name}.hdf5", pixel_size_A=pixel_size_A).read(0, 1)[0]


def distances_A(points_A):
    distance = np.linalg.norm(points_A[:, None] - points_A, axis=2)
    np.fill_diagonal(distance, np.inf)
    return distance.min(axis=1)


@pytest.mark.parametrize(("name", "least_f1", "n_silicon"), [("G-GrainBoundary-4nm", 0.99, 0), ("G-Si-2nm", 0.97, 1)])
def test_against_the_authors_detections(folder, ensemble, name, least_f1, n_silicon):
    frame = frame_of(folder, name)
    found = decode_frame(frame, PIXEL_A, ensemble)
    authors_A = np.load(folder / f"{name}-coord.npy")[:, [1, 0]] * PIXEL_A
    field_A = (frame.shape[1] * PIXEL_A, frame.shape[0] * PIXEL_A)
    whatever = np.full(len(found.species), "atom"), np.full(len(authors_A), "atom")
    result = score(found.positions_A, whatever[0], authors_A, whatever[1], field_A)["atom"]
    print(
        f"{name}: precision {result.precision:.4f}, recall {result.recall:.4f}, F1 {result.f1:.4f}, "
        f"{(found.species == 'Si').sum()} Si, RMS distance {result.rmse_A:.3f} Å"
    )
    assert result.f1 >= least_f1
    assert (found.species == "Si").sum() == n_silicon


@pytest.mark.parametrize(
    ("name", "pixel_size_A"), [("G-GrainBoundary-4nm", PIXEL_A), ("G-Si-2nm", PIXEL_A), ("G-trimSi", 0.039)]
)
def test_no_atom_twice_and_none_beyond_the_edge(folder, ensemble, name, pixel_size_A):
    """An atom whose disc the edge cuts once gave two, less than 1.1 Å apart, that closed a ring of three."""
    frame = frame_of(folder, name, pixel_size_A)
    found = decode_frame(frame, pixel_size_A, ensemble)
    print(f"{name}: {len(found.species)} atoms, smallest distance {distances_A(found.positions_A).min():.2f} Å")
    assert distances_A(found.positions_A).min() > 1.1
    margin_px = np.minimum(found.positions_px + 0.5, np.array(frame.shape[::-1]) - 0.5 - found.positions_px)
    assert margin_px.min() * pixel_size_A > -0.05


def test_silicon_trimer(folder, ensemble):
    found = decode_frame(frame_of(folder, "G-trimSi", 0.039), 0.039, ensemble)
    silicon_A = found.positions_A[found.species == "Si"]
    assert len(silicon_A) == 3
    sides = np.linalg.norm(silicon_A - np.roll(silicon_A, 1, axis=0), axis=1)
    print(f"G-trimSi: sides of the triangle {sides.round(2)} Å")
    assert ((sides > 1.9) & (sides < 2.6)).all()


def test_trimer_movie(folder, ensemble):
    movie = np.load(folder / "Si3C6_trimer_movie.npz", allow_pickle=False)
    n_known = n_found = n_false = 0
    for frame, known_px in zip(movie["frames"], movie["si_xy"], strict=True):
        found = decode_frame(frame, PIXEL_A, ensemble)
        silicon_A = found.positions_A[found.species == "Si"]
        pairs = match(silicon_A, known_px * PIXEL_A)
        n_known += len(known_px)
        n_found += len(pairs)
        n_false += len(silicon_A) - len(pairs)
    print(f"trimer movie: {n_found} of {n_known} Si within 0.5 Å, {n_false} false, in {len(movie['frames'])} frames")
    assert n_known == 132
    assert n_found == n_known
    assert n_false == 0


def labelled_frames(folder):
    """Frames of silicon defects with the Si that their authors labelled, and their pixel sizes.

    Those of 128 pixels and a scan of 2 nm are crops of finer scans or not; the length of the labelled Si–C says which.
    """
    import h5py

    for path in sorted((folder / "defects").glob("*/*.hdf5")):
        with h5py.File(path) as file:
            image = file["nn_input"]
            rows = [row for key in file if key.startswith("defect_coord") for row in file[key][()].astype(str)]
            frame, scan_A = image[0, :, :, 0], float(image.attrs["scan size"]) / 100
        silicon, carbon = (
            np.array([[float(row[0]), float(row[1])] for row in rows if (row[2] == "Si") == of]) for of in (True, False)
        )
        bond_px = np.median(np.linalg.norm(silicon[:, None] - carbon, axis=2).min(axis=1))
        sizes_A = [scan_A / frame.shape[1], PIXEL_A]
        yield path, frame, min(sizes_A, key=lambda size_A: abs(np.log(size_A * bond_px / 1.75))), silicon


def test_silicon_in_all_defect_classes(folder, ensemble):
    """All labelled Si, and no other, but for Si that the authors left out: as bright as a labelled one."""
    n_frames = n_known = n_found = n_unlabelled = 0
    with_false = []
    for path, frame, pixel_size_A, silicon_px in labelled_frames(folder):
        found = decode_frame(frame, pixel_size_A, ensemble)
        si_px = found.positions_px[found.species == "Si"]
        pairs = match(si_px * pixel_size_A, silicon_px * pixel_size_A)
        smooth = gaussian_filter(frame, 0.3 / pixel_size_A) - np.median(frame)
        rows, columns = np.clip(np.rint(si_px[:, ::-1]).astype(int), 0, np.array(frame.shape) - 1).T
        brightness = smooth[rows, columns]
        extra = np.setdiff1d(np.arange(len(si_px)), pairs[:, 0])
        bright = brightness[extra] > 0.6 * np.median(brightness[pairs[:, 0]])
        n_frames, n_known, n_found = n_frames + 1, n_known + len(silicon_px), n_found + len(pairs)
        n_unlabelled += bright.sum()
        if not bright.all():
            with_false.append(path.stem)
    print(
        f"defects: {n_found} of {n_known} labelled Si within 0.5 Å; {n_unlabelled} as bright that have no label; "
        f"false Si in {len(with_false)} of {n_frames} frames: {with_false}"
    )
    assert n_frames == 42
    assert n_found >= 0.98 * n_known
    assert len(with_false) <= 0.05 * n_frames
