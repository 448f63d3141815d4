"""An adsorbate over a site of a sheet that is still to be relaxed."""

from __future__ import annotations

from typing import Annotated

from ase import Atoms
from pydantic import Field, PositiveFloat

from hpcstem.config import Section
from hpcstem.simulation.settings import AtomIndex
from hpcstem.simulation.structures import from_xyz
from hpcstem.structure.adsorbates import Pose, SiteKind, site_of, with_adsorbate


class Placement(Section):
    """What is put where.

    Parameters
    ----------
    adsorbate
        The atom or molecule, extended XYZ text.
    site
        What it sits on.
    atoms
        Atoms of the site: one, the two of a bond, or those of a ring. They are chosen on the structure as given,
        so that a job means the same site whatever the relaxation does.
    pose, azimuth_deg, height_A
        As of `hpcstem.structure.adsorbates.with_adsorbate`.
    """

    adsorbate: str
    site: SiteKind
    atoms: Annotated[tuple[AtomIndex, ...], Field(min_length=1)]
    pose: Pose = Pose.UP
    azimuth_deg: float = 0.0
    height_A: PositiveFloat | None = None

    def on(self, sheet: Atoms) -> Atoms:
        """Return the sheet in its order, then the adsorbate.

        Raises
        ------
        StructureError
            The adsorbate overlaps, or the sheet lacks the atoms of the site.
        """
        site = site_of(sheet, self.site, self.atoms)
        return with_adsorbate(sheet, from_xyz(self.adsorbate), site, self.pose, self.azimuth_deg, self.height_A)
