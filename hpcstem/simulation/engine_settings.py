"""Settings of each engine: all that decides its forces, and nothing that belongs to a machine.

Where a program and its parameter files are is a fact of the site: see `hpcstem.simulation.programs`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, PositiveFloat, PositiveInt, model_validator

from hpcstem.config import Section

Symbol = Annotated[str, Field(pattern=r"^[A-Z][a-z]?$")]
KPoints = tuple[PositiveInt, PositiveInt, PositiveInt]

VASP_OWN_TAGS = frozenset(
    {"SYSTEM", "ENCUT", "EDIFF", "EDIFFG", "NELM", "ISMEAR", "SIGMA", "IVDW", "ISPIN", "MAGMOM", "NSW", "IBRION"}
    | {"ISIF", "POTIM", "MDALGO", "SMASS", "TEBEG", "TEEND", "ISYM", "RANDOM_SEED", "LCHARG", "LWAVE", "ISTART"}
    | {"NBLOCK"}
)
"""INCAR tags that follow from other settings."""

ASE_CALCULATORS = {
    "emt": "ase.calculators.emt:EMT",
    "lj": "ase.calculators.lj:LennardJones",
    "morse": "ase.calculators.morse:MorsePotential",
    "tip3p": "ase.calculators.tip3p:TIP3P",
    "gpaw": "gpaw:GPAW",
    "tblite": "tblite.ase:TBLite",
}
"""Calculators that compute in this process. One that starts programs would run whatever a job in the database says."""

_ASE_FORBIDDEN = {"command", "directory", "label", "profile", "restart", "txt", "logfile", "atoms", "communicator"}


class XtbSettings(Section):
    """GFN1-xTB in this process, by tblite.

    Parameters
    ----------
    charge
        Total charge [e].
    electronic_temperature_K
        Temperature of the Fermi filling [K].
    """

    name: Literal["gfn1-xtb"] = "gfn1-xtb"
    charge: int = 0
    electronic_temperature_K: PositiveFloat = 300.0


class SpinXtbSettings(Section):
    """GFN1-xTB with spin polarisation in this process, by tblite.

    Parameters
    ----------
    charge
        Total charge [e].
    electronic_temperature_K
        Temperature of the Fermi filling [K].
    unpaired_electrons
        How many; none: of 0 to 6 those that the charge allows and that give the structure at the start of a job the
        lowest energy.
    """

    name: Literal["spgfn1-xtb"] = "spgfn1-xtb"
    charge: int = 0
    electronic_temperature_K: PositiveFloat = 300.0
    unpaired_electrons: Annotated[int, Field(ge=0)] | None = None


class VaspSettings(Section):
    """VASP with PBE and PAW.

    Parameters
    ----------
    cutoff_eV
        ENCUT [eV].
    k_points
        Divisions of the Monkhorst-Pack grid.
    potcars
        POTCAR to use for an element where that is not named like it, such as `Cr: Cr_pv`.
    electronic_tolerance_eV
        EDIFF [eV].
    max_electronic_steps
        NELM.
    smearing_eV
        Width of the Gaussian smearing, SIGMA [eV].
    dispersion
        `none`, `D3` (IVDW 11) or `D3-BJ` (IVDW 12).
    spin_polarised
        ISPIN 2.
    magnetic_moments_muB
        First magnetic moment of the atoms of an element [μB], 0 for elements not named; needs `spin_polarised`.
    incar
        Further INCAR tags, such as NCORE, that do not follow from other settings.
    """

    name: Literal["vasp"] = "vasp"
    cutoff_eV: PositiveFloat = 400.0
    k_points: KPoints = (2, 2, 2)
    potcars: dict[Symbol, Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")]] = Field(default_factory=dict)
    electronic_tolerance_eV: PositiveFloat = 1e-5
    max_electronic_steps: PositiveInt = 100
    smearing_eV: PositiveFloat = 0.05
    dispersion: Literal["none", "D3", "D3-BJ"] = "none"
    spin_polarised: bool = False
    magnetic_moments_muB: dict[Symbol, float] = Field(default_factory=dict)
    incar: dict[str, bool | int | float | str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _tags_are_plain(self) -> Self:
        for tag, value in self.incar.items():
            if not re.fullmatch("[A-Z][A-Z0-9_]*", tag):
                raise ValueError(f"INCAR tag {tag!r} is not a word in capital letters")
            if tag in VASP_OWN_TAGS:
                raise ValueError(f"INCAR tag {tag} follows from other settings")
            if not re.fullmatch(r"[\w .+*-]+", str(value)):
                raise ValueError(f"INCAR tag {tag} has the value {value!r}; wanted words and numbers on one line")
        return self

    @model_validator(mode="after")
    def _spin_has_moments(self) -> Self:
        if self.spin_polarised != any(self.magnetic_moments_muB.values()):
            raise ValueError("spin_polarised and magnetic_moments_muB (one at least that is not 0) go together")
        return self


class DftbSettings(Section):
    """DFTB+.

    Parameters
    ----------
    hamiltonian
        `GFN1-xTB` or `GFN2-xTB`, which need no parameter files, or `slater-koster`.
    slater_koster_set
        Folder of the set, such as `pbc-0-3`, in the site's library.
    max_angular_momenta
        Highest angular momentum of each element of a Slater-Koster set; known for H, C, N and O.
    k_points
        Divisions of the grid.
    charge
        Total charge [e].
    electronic_temperature_K
        Temperature of the Fermi filling [K].
    charge_tolerance_e
        Convergence of the self-consistent charges [e].
    thermostat_coupling_cm1
        Frequency of the Nosé-Hoover chain [1/cm]: about that of the stiffest bond, 1600 for graphene, 3000 with CH.
    """

    name: Literal["dftb+"] = "dftb+"
    hamiltonian: Literal["GFN1-xTB", "GFN2-xTB", "slater-koster"] = "GFN1-xTB"
    slater_koster_set: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")] | None = None
    max_angular_momenta: dict[Symbol, Literal["s", "p", "d", "f"]] = Field(default_factory=dict)
    k_points: KPoints = (1, 1, 1)
    charge: int = 0
    electronic_temperature_K: PositiveFloat = 300.0
    charge_tolerance_e: PositiveFloat = 1e-5
    thermostat_coupling_cm1: PositiveFloat = 1600.0

    @model_validator(mode="after")
    def _a_set_is_named_where_needed(self) -> Self:
        if (self.hamiltonian == "slater-koster") != (self.slater_koster_set is not None):
            raise ValueError("slater_koster_set goes with hamiltonian: slater-koster")
        return self


class ClassicalSettings(Section):
    """A bond-order potential in this process, by atomistica.

    Parameters
    ----------
    potential
        `tersoff` (C, Si), `erhart-albe` (C, Si) or `rebo2` (C, H).
    """

    name: Literal["classical"] = "classical"
    potential: Literal["tersoff", "erhart-albe", "rebo2"] = "rebo2"


class AseSettings(Section):
    """Any calculator of ASE's interface on the allow-list.

    Parameters
    ----------
    calculator
        A key of `ASE_CALCULATORS`.
    arguments
        Its keyword arguments, plain values.
    """

    name: Literal["ase"] = "ase"
    calculator: str
    arguments: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_allowed(self) -> Self:
        if self.calculator not in ASE_CALCULATORS:
            raise ValueError(f"calculator {self.calculator!r} is not one of {', '.join(ASE_CALCULATORS)}")
        forbidden = sorted(_ASE_FORBIDDEN & set(self.arguments))
        if forbidden:
            raise ValueError(f"argument {forbidden[0]} is not for a job to set")
        return self


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


EngineSettings = Annotated[
    Annotated[
        XtbSettings | SpinXtbSettings | VaspSettings | DftbSettings | ClassicalSettings | AseSettings,
        Field(discriminator="name"),
    ],
    BeforeValidator(_named),
]
"""An engine's settings with its `name`; the name alone stands for an engine with its defaults."""
