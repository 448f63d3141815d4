"""Real outputs of VASP, whole, unconverged, broken off and stopped."""

import gzip

import numpy as np
import pytest

from hpcstem.errors import SimulationError
from hpcstem.simulation.engines.vasp_outputs import (
    OutcarEnd,
    contcar_positions,
    outcar_end,
    read_vasprun,
    read_xdatcar,
)


@pytest.fixture
def real(shared_data):
    return shared_data / "vasp" / "pymatgen-core"


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["vasprun.xml.gz", "vasprun.md.xml.gz", "vasprun.unconverged.xml.gz"])
def test_whole_runs_are_read_as_pymatgen_reads_them(real, name):
    outputs = pytest.importorskip("pymatgen.io.vasp.outputs", reason="pip install 'hpcstem[vasp]'")
    theirs = outputs.Vasprun(str(real / name), parse_dos=False, parse_eigen=False, parse_potcar_file=False)
    ours = read_vasprun(real / name)
    assert ours.whole
    assert len(ours.steps) == len(theirs.ionic_steps)
    assert ours.version == theirs.vasp_version
    assert ours.symbols == tuple(theirs.atomic_symbols)
    assert ours.steps[-1].energy_eV == pytest.approx(float(theirs.final_energy), abs=1e-7)
    assert (ours.steps[-1].converged) == theirs.converged_electronic
    for step, other in zip(ours.steps, theirs.ionic_steps, strict=True):
        assert np.allclose(step.forces_eV_A, other["forces"])
        assert np.allclose(step.cell_A, other["structure"].lattice.matrix)
        assert np.abs((step.fractional - other["structure"].frac_coords + 0.5) % 1 - 0.5).max() < 1e-8


@pytest.mark.real
def test_molecular_dynamics_conserves_what_its_thermostat_does(real):
    run = read_vasprun(real / "vasprun.md.xml.gz")
    conserved = [step.conserved_eV for step in run.steps]
    assert run.steps[0].kinetic_eV == pytest.approx(16.286874)
    assert np.ptp(conserved) < 0.2 < np.ptp([step.energy_eV for step in run.steps])


@pytest.mark.real
def test_verdicts(real):
    unconverged = read_vasprun(real / "vasprun.unconverged.xml.gz")
    assert (unconverged.whole, unconverged.n_unconverged, len(unconverged.steps)) == (True, 5, 5)
    broken = read_vasprun(real / "vasprun.bad.xml.gz")
    assert (broken.whole, len(broken.steps)) == (False, 1)
    assert outcar_end(real / "OUTCAR") == OutcarEnd.CONVERGED
    assert outcar_end(real / "OUTCAR.stopped.gz") == OutcarEnd.STOPPED


@pytest.mark.real
def test_a_run_broken_off_anywhere_gives_its_whole_steps(real, tmp_path):
    text = gzip.decompress((real / "vasprun.md.xml.gz").read_bytes())
    whole = read_vasprun(real / "vasprun.md.xml.gz")
    for share in (0.3, 0.55, 0.8, 0.999):
        part = tmp_path / "vasprun.xml"
        part.write_bytes(text[: int(len(text) * share)])
        found = read_vasprun(part)
        n_closed = text[: int(len(text) * share)].count(b"</calculation>")
        assert not found.whole
        assert len(found.steps) == n_closed
        assert all((a.fractional == b.fractional).all() for a, b in zip(found.steps, whole.steps, strict=False))
    part.write_bytes(text[:2000])
    with pytest.raises(SimulationError, match="no atoms in it"):
        read_vasprun(part)
    outcar = tmp_path / "OUTCAR"
    outcar.write_bytes((real / "OUTCAR").read_bytes()[:50_000])
    assert outcar_end(outcar) == OutcarEnd.BROKEN


@pytest.mark.real
def test_positions_of_contcar_and_xdatcar(real, shared_data, tmp_path):
    from ase.io import read

    folder = shared_data / "vasp" / "mos2"
    contcar = folder / "pt-on-s" / "CONTCAR"
    assert np.allclose(contcar_positions(contcar) % 1, read(contcar, format="vasp").get_scaled_positions() % 1)
    torn = tmp_path / "CONTCAR"
    torn.write_text(contcar.read_text()[:4000])
    assert contcar_positions(torn) is None
    assert contcar_positions(tmp_path / "absent") is None
    symbols, fractional = read_xdatcar(real / "XDATCAR.MD")
    assert fractional.shape == (5, len(symbols), 3)
    frames = read(real / "XDATCAR.MD", ":", format="vasp-xdatcar")
    assert np.allclose(fractional[-1] % 1, frames[-1].get_scaled_positions() % 1)
    with pytest.raises(SimulationError, match="an XDATCAR"):
        read_xdatcar(real / "OUTCAR")


def test_stars_of_fortran_are_no_reason_to_stop(tmp_path):
    """A number that does not fit its field; VASP goes on, and so do we."""
    path = tmp_path / "vasprun.xml"
    path.write_text(
        '<modeling><atominfo><array name="atoms"><set><rc><c>C </c><c>1</c></rc></set></array></atominfo><calculation>'
        '<scstep><energy><i name="e_fr_energy">-1.0</i><i name="e_0_energy">-1.5</i></energy></scstep><structure>'
        '<crystal><varray name="basis"><v>9 0 0</v><v>0 9 0</v><v>0 0 9</v></varray></crystal>'
        '<varray name="positions"><v>0 0 0</v></varray></structure><varray name="forces"><v>0 ******** 0</v></varray>'
        '<energy><i name="e_fr_energy">-2.0</i><i name="e_0_energy">0.0</i></energy></calculation></modeling>'
    )
    (step,) = read_vasprun(path).steps
    assert step.energy_eV == pytest.approx(-2.5)
    assert np.isnan(step.forces_eV_A[0, 1])
