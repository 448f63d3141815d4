import numpy as np
import pytest
from rdf_job import ANALYSIS, batches

from hpcstem.execution import SerialExecutor


@pytest.fixture(scope="module")
def reference():
    rdf = SerialExecutor(check_pickling=True).run(ANALYSIS, batches())
    assert rdf.n_frames == 21
    assert (rdf.counts.sum(axis=1) > 1000).all()
    return rdf


def test_dask_gives_the_same_rdf(reference, dask_executor):
    rdf = dask_executor.run(ANALYSIS, batches())
    np.testing.assert_array_equal(rdf.counts, reference.counts)
    np.testing.assert_allclose(rdf.g, reference.g, rtol=1e-12)
    np.testing.assert_allclose(rdf.g_kde, reference.g_kde, rtol=1e-12)


@pytest.mark.parametrize("n_ranks", [1, 2, 3])
def test_any_number_of_ranks_gives_the_same_rdf(reference, run_ranks, tmp_path, n_ranks):
    done = run_ranks(n_ranks, "rdf_job.py", tmp_path / "rdf.npz")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "rdf.npz", allow_pickle=False) as rdf:
        np.testing.assert_array_equal(rdf["counts"], reference.counts)
        np.testing.assert_allclose(rdf["g"], reference.g, rtol=1e-12)
        np.testing.assert_allclose(rdf["g_kde"], reference.g_kde, rtol=1e-12)
        assert rdf["n_frames"] == reference.n_frames
