"""What a sweep file says: structures × adsorbates × engines × constraints × temperatures × seeds.

Every list is an axis. A job is known by a digest of what decides its answer, so a longer list adds only what is new.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from hpcstem.config import Section, checked, read_yaml
from hpcstem.errors import ConfigError
from hpcstem.simulation.constraints import Constraint
from hpcstem.simulation.engine_settings import EngineSettings
from hpcstem.simulation.settings import NVTSettings, RelaxSettings
from hpcstem.structure.adsorbates import Place, Pose, SiteKind

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}$")]
_Point = tuple[float, float]
_SET_BY_AXES = {"engine", "seed", "temperature_K", "constraint"}


class PatchSection(Section):
    """A round patch of graphene, made here: an example, or a test of an engine.

    Parameters
    ----------
    atoms
        Fewest carbon atoms; hydrogen at its edges comes on top.
    hole_radius_A
        Radius of a hole in its middle [Å]; 0 for none.
    vacuum_A
        Empty space around it [Å].
    """

    atoms: Annotated[int, Field(ge=6, le=20_000)]
    hole_radius_A: Annotated[float, Field(ge=0, le=50)] = 0.0
    vacuum_A: Annotated[float, Field(ge=4)] = 8.0


class StructureEntry(Section):
    """One structure: a file of any format that ASE reads, or a made patch.

    Parameters
    ----------
    name
        Its name in lists, results and exports.
    file
        Path, relative to the sweep file.
    patch
        A patch to make.
    """

    name: _Name
    file: Path | None = None
    patch: PatchSection | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.patch is None):
            raise ValueError("give either `file:` or `patch:`")
        return self


class AdsorbateSection(Section):
    """Adsorbates of some species at some sites in some poses, each combination on every structure.

    Parameters
    ----------
    species
        Chemical symbols, molecules by ASE's names, or structure files relative to the sweep file.
    sites
        `top`, `bridge`, `hollow`.
    near
        `centre`, `hole`, `edge`, or points [x, y] [Å].
    poses
        `up`, `down`, `side`; single atoms have one pose alone.
    azimuths_deg
        Turns about z [°].
    height_A
        Height of the binding atom [Å]; none: where it touches.
    dynamics
        Whether the sheets with an adsorbate run through `dynamics:` too.
    """

    species: tuple[str, ...] = Field(min_length=1)
    sites: tuple[SiteKind, ...] = Field(tuple(SiteKind), min_length=1)
    near: tuple[Place | _Point, ...] = Field((Place.CENTRE,), min_length=1)
    poses: tuple[Pose, ...] = Field((Pose.UP,), min_length=1)
    azimuths_deg: tuple[float, ...] = Field((0.0,), min_length=1)
    height_A: PositiveFloat | None = None
    dynamics: bool = False


class DynamicsSection(Section):
    """Molecular dynamics from each relaxed structure, one run per temperature.

    Parameters
    ----------
    temperatures_K
        Temperatures [K].
    n_steps
        Steps of each run.
    timestep_fs
        Time step [fs].
    settings
        More settings of molecular dynamics, see docs/engines.md.
    """

    temperatures_K: tuple[PositiveFloat, ...] = Field(min_length=1)
    n_steps: PositiveInt = 2000
    timestep_fs: PositiveFloat = 1.0
    settings: dict[str, Any] = Field({})


class Sweep(Section):
    """A sweep.

    Parameters
    ----------
    name
        Name of the sweep, a label of all its jobs.
    structures
        What is simulated.
    engines
        Names of engines, or their settings with their `name:`, see docs/engines.md; an axis.
    constraints
        What may move, see docs/engines.md; an axis. Molecular dynamics from a cell that was free runs at that volume.
    relax
        Settings of the relaxations, beside those of the engine.
    adsorbates
        What is put on the structures.
    dynamics
        Molecular dynamics; none: relaxations alone.
    seeds
        Seeds of the random streams; an axis.
    priority
        Jobs with a higher number are started first.
    """

    name: _Name
    structures: tuple[StructureEntry, ...] = Field(min_length=1)
    engines: tuple[EngineSettings, ...] = Field(("gfn1-xtb",), min_length=1, validate_default=True)
    constraints: tuple[Constraint, ...] = Field((Constraint.NONE,), min_length=1)
    relax: dict[str, Any] = Field({})
    adsorbates: tuple[AdsorbateSection, ...] = ()
    dynamics: DynamicsSection | None = None
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = Field((0,), min_length=1)
    priority: int = Field(0, ge=-1000, le=1000)

    @field_validator("structures")
    @classmethod
    def _names_differ(cls, value: tuple[StructureEntry, ...]) -> tuple[StructureEntry, ...]:
        names = [entry.name for entry in value]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"structures named alike: {', '.join(repeated)}")
        return value

    @model_validator(mode="after")
    def _settings_hold(self) -> Self:
        for name, given in (("relax", self.relax), ("dynamics.settings", self.dynamics and self.dynamics.settings)):
            axes = sorted(_SET_BY_AXES & set(given or {}))
            if axes:
                raise ValueError(f"{name}: {axes[0]} is an axis of the sweep; give it there")
        try:
            list(self.settings())
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    def settings(self) -> Iterator[tuple[dict[str, str], RelaxSettings, list[NVTSettings]]]:
        """Yield labels and settings for each engine, constraint and seed: of the relaxation, and of each temperature.

        Raises
        ------
        ConfigError
            A setting is unknown or not allowed.
        """
        names = [engine.name for engine in self.engines]
        for number, engine in enumerate(self.engines):
            nth = names[:number].count(engine.name) + 1
            label = engine.name if nth == 1 else f"{engine.name}-{nth}"
            for constraint in self.constraints:
                for seed in self.seeds:
                    labels = {"engine": label, "constraint": str(constraint), "seed": str(seed)}
                    shared = {"engine": engine.model_dump(mode="json"), "seed": seed}
                    relax = RelaxSettings.parse(shared | {"constraint": constraint} | self.relax)
                    yield labels, relax, self._dynamics(shared, constraint)

    def _dynamics(self, shared: dict[str, Any], constraint: Constraint) -> list[NVTSettings]:
        if self.dynamics is None:
            return []
        given = {"n_steps": self.dynamics.n_steps, "timestep_fs": self.dynamics.timestep_fs} | self.dynamics.settings
        given["constraint"] = Constraint.NONE if constraint is Constraint.FREE_CELL else constraint
        return [
            NVTSettings.parse(shared | given | {"temperature_K": temperature_K})
            for temperature_K in self.dynamics.temperatures_K
        ]


def load_sweep(path: Path) -> Sweep:
    """Read a sweep file.

    Raises
    ------
    ConfigError
        It cannot be read, has an unknown key, or a value that cannot be used.
    """
    return checked(Sweep, read_yaml(path), str(path))
