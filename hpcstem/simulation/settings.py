"""Settings of relaxations and molecular dynamics, checked once, plain JSON in a job's document."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError, model_validator

from hpcstem.config import Section
from hpcstem.errors import ConfigError
from hpcstem.simulation.constraints import Constraint
from hpcstem.simulation.engine_settings import EngineSettings, XtbSettings

AtomIndex = Annotated[int, Field(ge=0)]


class JobSettings(Section):
    """What both kinds of job say about forces and constraints.

    Parameters
    ----------
    engine
        Settings of the engine, or its name alone.
    constraint
        Which coordinates may change.
    fixed
        Indices of atoms that do not move, whatever the constraint.
    checkpoint_steps
        Steps between two checkpoints of the engines that run in this process.
    seed
        Seed of the random streams.
    """

    engine: EngineSettings = XtbSettings()
    constraint: Constraint = Constraint.NONE
    fixed: tuple[AtomIndex, ...] = ()
    checkpoint_steps: PositiveInt = 50
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @classmethod
    def parse(cls, document: Any) -> Self:
        """Return settings from plain JSON values.

        Raises
        ------
        ConfigError
            A key is unknown or a value is not allowed.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"])) or "settings"
            raise ConfigError(f"{cls.__name__}: {name}", first.get("input"), first["msg"]) from error

    def to_document(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return self.model_dump(mode="json")


class RelaxSettings(JobSettings):
    """Settings of a relaxation.

    Parameters
    ----------
    fmax_eV_A
        Largest force on an atom at which the structure counts as relaxed [eV/Å].
    max_steps
        Steps after which it gives up.
    rattle_A
        Standard deviation of a random displacement of the free atoms before the first step [Å]. A decoded sheet is
        flat, and by symmetry no force would ever lift an atom out of its plane.
    """

    fmax_eV_A: PositiveFloat = 0.01
    max_steps: PositiveInt = 1000
    rattle_A: Annotated[float, Field(ge=0)] = 0.02


class NVTSettings(JobSettings):
    """Settings of molecular dynamics at constant volume and temperature.

    Parameters
    ----------
    temperature_K
        Temperature of the thermostat and of the first velocities [K].
    timestep_fs
        Time step [fs]; 1 fs is coarse for C-H bonds.
    n_steps
        Number of steps.
    thermostat_time_fs
        Time constant of the Nosé–Hoover chain [fs].
    trajectory_steps
        Steps between two frames of the trajectory.
    """

    temperature_K: PositiveFloat
    timestep_fs: PositiveFloat = 0.5
    n_steps: PositiveInt = 2000
    thermostat_time_fs: PositiveFloat = 50.0
    trajectory_steps: PositiveInt = 10

    @model_validator(mode="after")
    def _thermostat_is_slower_than_the_step(self) -> Self:
        if self.thermostat_time_fs < 5 * self.timestep_fs:
            raise ValueError(f"thermostat_time_fs of at least 5 time steps, {5 * self.timestep_fs} fs")
        return self

    @model_validator(mode="after")
    def _volume_is_constant(self) -> Self:
        if self.constraint == Constraint.FREE_CELL:
            raise ValueError("molecular dynamics is at constant volume: constraint free-cell is for relaxations")
        return self
