#!/usr/bin/env python3
"""Stand-in for VASP: GFN1-xTB forces behind VASP's files. It shows that files and restarts are right, not physics.

The JSON in VASP_STANDIN tells it to fail as VASP does, by steps of this run: `hang_after` (waits for ever), `die_after`
(killed by itself), `torn_contcar` (with `die_after`: CONTCAR breaks off), `late_vasprun` (with `die_after`: the last
step is in CONTCAR, not in vasprun.xml), `unconverged` (all steps use up NELM), `brmix` (fails until ISTART or IMIX is
set), `crash` (an error that nobody knows); with `only_dynamics` relaxations go well.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.data import atomic_masses
from tblite.ase import TBLite

from hpcstem.simulation.motion.nose_hoover import CHAIN_LENGTH, NoseHooverChain

OUTPUTS = ("vasprun.xml", "OUTCAR", "OSZICAR", "XDATCAR")
FAULT = json.loads(os.environ.get("VASP_STANDIN", "{}"))


def read_incar():
    pairs = [line.partition("=") for line in Path("INCAR").read_text().splitlines() if "=" in line]
    return {tag.strip().upper(): value.strip() for tag, _, value in pairs}


class Input:
    def __init__(self):
        lines = Path("POSCAR").read_text().splitlines()
        self.comment = lines[0]
        self.cell = np.array([line.split() for line in lines[2:5]], float) * float(lines[1])
        self.species, self.counts = lines[5].split(), [int(word) for word in lines[6].split()]
        self.symbols = [s for s, n in zip(self.species, self.counts, strict=True) for _ in range(n)]
        n, at = len(self.symbols), 7
        self.selective = lines[at].strip()[:1] in "sS"
        at += 1 + self.selective
        assert lines[at - 1].strip()[:1] in "dD"
        rows = [line.split() for line in lines[at : at + n]]
        self.fractional = np.array([row[:3] for row in rows], float)
        self.flags = np.array([row[3:6] if self.selective else ["T"] * 3 for row in rows]) == "T"
        rest = [line for line in lines[at + n :] if line.strip()]
        self.velocities = np.array([line.split() for line in rest[:n]], float) if rest else None
        self.chain = None
        if len(rest) > n:
            self.chain = np.array(rest[n + 2].split(), float).reshape(2, CHAIN_LENGTH)
        # The order of POTCAR must be that of POSCAR, and KPOINTS must be there.
        titles = [line.split()[1] for line in Path("POTCAR").read_text().splitlines() if line.startswith("  PAW_PBE")]
        assert [title.split("_")[0] for title in titles] == self.species, "POTCAR and POSCAR differ"
        Path("KPOINTS").read_text()

    def contcar(self, fractional, velocities=None, chain=None, timestep=None):
        lines = [self.comment, "1.0"]
        lines += [" ".join(f"{x:22.16f}" for x in vector) for vector in self.cell]
        lines += [" ".join(self.species), " ".join(map(str, self.counts))]
        lines += (["Selective dynamics"] if self.selective else []) + ["Direct"]
        for position, flags in zip(fractional, self.flags, strict=True):
            marks = " ".join("TF"[not flag] for flag in flags) if self.selective else ""
            lines.append(" ".join(f"{x:20.16f}" for x in position) + "   " + marks)
        if velocities is not None:
            lines += [""] + [" ".join(f"{x: .16E}" for x in row) for row in velocities]
            lines += ["", "1", f"{timestep:.8E}", " ".join(f"{x: .16E}" for x in chain.ravel())]
            lines += [" ".join(["0.00000000E+00"] * 3) for _ in range(len(fractional) * 3)]
        text = "\n".join(lines) + "\n"
        if FAULT.get("torn_contcar") and Output.n == FAULT.get("die_after"):
            text = text[: int(len(text) * 0.6)]
        Path("CONTCAR").write_text(text)


class Output:
    """vasprun.xml, OUTCAR, OSZICAR, XDATCAR and standard output."""

    n = 0

    def __init__(self, given, incar):
        self.given, self.nelm = given, int(incar.get("NELM", 60))
        self.files = {name: open(name, "w") for name in OUTPUTS}  # noqa: SIM115 - closed by the end, as VASP's are
        self.to("OUTCAR", " vasp.6.0.0-standin\n")
        rows = "".join(f"<rc><c>{s:2s}</c><c>{given.species.index(s) + 1:4d}</c></rc>" for s in given.symbols)
        shown = {tag: incar[tag] for tag in ("NELM", "EDIFF", "NSW") if tag in incar}
        tags = "".join(f'<i name="{tag}">{value}</i>' for tag, value in shown.items())
        self.to(
            "vasprun.xml",
            '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n<generator><i name="version" type="string">'
            f"6.0.0-standin </i></generator>\n<incar>{tags}</incar>\n<atominfo><atoms> {len(given.symbols)} </atoms>"
            f'<array name="atoms"><set>{rows}</set></array></atominfo>\n',
        )
        head = [given.comment, "1.0", *[" ".join(f"{x:.8f}" for x in v) for v in given.cell]]
        self.to("XDATCAR", "\n".join([*head, " ".join(given.species), " ".join(map(str, given.counts))]) + "\n")
        print(" running on    1 total cores (stand-in)", flush=True)

    def to(self, name, text):
        self.files[name].write(text)
        self.files[name].flush()

    def step(self, fractional, energy, forces, kinetic=None, total=None):
        Output.n += 1
        if FAULT.get("late_vasprun") and Output.n == FAULT.get("die_after"):
            return
        n_electronic = self.nelm if FAULT.get("unconverged") else 3
        # Electronic energies that go on changing by an eV, so that no step of many counts as converged.
        changing = [energy + k % 2 for k in reversed(range(n_electronic))]
        electronic = "".join(
            f"<scstep><energy>{_items(e_fr_energy=e, e_0_energy=e)}</energy></scstep>" for e in changing
        )
        found = {"e_fr_energy": energy, "e_wo_entrp": energy, "e_0_energy": energy}
        found |= {} if kinetic is None else {"kinetic": kinetic, "total": total}
        self.to(
            "vasprun.xml",
            f'<calculation>\n{electronic}<structure><crystal><varray name="basis">{_rows(self.given.cell)}</varray>'
            f'</crystal><varray name="positions">{_rows(fractional)}</varray></structure>\n<varray name="forces">'
            f"{_rows(forces)}</varray>\n<energy>{_items(**found)}</energy>\n</calculation>\n",
        )
        rows = "".join(" ".join(f"{x:.8f}" for x in row) + "\n" for row in fractional)
        self.to("XDATCAR", f"Direct configuration={Output.n:6d}\n{rows}")
        self.to("OSZICAR", f"{Output.n:4d} F= {energy:.8E} E0= {energy:.8E}\n")
        self.to("OUTCAR", "     LOOP+:  cpu time    0.10: real time    0.10\n")

    def interrupted(self):
        """After CONTCAR is written: wait or die as told; return whether STOPCAR asks to stop."""
        if Output.n == FAULT.get("hang_after"):
            Path("hanging").touch()
            while not (Path("STOPCAR").exists() and FAULT.get("hang_until_stopcar")):
                time.sleep(0.05)
        if Output.n == FAULT.get("die_after"):
            os.kill(os.getpid(), signal.SIGKILL)
        if Path("STOPCAR").exists() and "LSTOP" in Path("STOPCAR").read_text():
            self.to("OUTCAR", " soft stop encountered!  aborting job ...\n")
            return True
        return False

    def end(self, converged=False):
        if converged:
            self.to("OUTCAR", " reached required accuracy - stopping structural energy minimisation\n")
        self.to("OUTCAR", " General timing and accounting informations for this job:\n")
        self.to("vasprun.xml", "</modeling>\n")


def _items(**values):
    return "".join(f'<i name="{name}">{value:.8f}</i>' for name, value in values.items())


def _rows(array):
    return "".join("<v>" + " ".join(f"{x:.8f}" for x in row) + "</v>" for row in array)


class Model:
    def __init__(self, given):
        self.given = given

    def __call__(self, fractional):
        # A new wave function each time, so that a step does not depend on what went before.
        atoms = Atoms(self.given.symbols, scaled_positions=fractional, cell=self.given.cell, pbc=True)
        atoms.calc = TBLite(method="GFN1-xTB", accuracy=0.1, verbosity=0)
        energy, forces = float(atoms.get_potential_energy()), np.array(atoms.get_forces())
        return energy, forces * self.given.flags


def dynamics(given, incar, model, output):
    timestep, T = float(incar["POTIM"]), float(incar["TEBEG"])
    masses = np.array([atomic_masses[Atoms(s).numbers[0]] for s in given.symbols])[:, None]
    n_degrees = int(given.flags.sum() - given.flags.all(axis=0).sum())
    thermostat = NoseHooverChain(T, 50 * timestep, n_degrees)
    dt, to_cell = timestep * units.fs, np.linalg.inv(given.cell)
    fractional, chain, half = given.fractional, given.chain, given.velocities
    for _ in range(int(incar["NSW"])):
        energy, forces = model(fractional)
        if chain is None:
            rng = np.random.default_rng([int(word) for word in incar["RANDOM_SEED"].split()])
            velocities = rng.standard_normal((len(masses), 3)) * np.sqrt(units.kB * T / masses) * given.flags
            velocities -= given.flags.all(axis=0) * (masses * velocities).sum(axis=0) / masses.sum()
            velocities *= np.sqrt(n_degrees * units.kB * T / (masses * velocities**2).sum())
            chain = np.zeros((2, CHAIN_LENGTH))
        else:
            velocities = half / units.fs + dt / 2 * forces / masses
            chain, factor = thermostat.scaled(chain, float((masses * velocities**2).sum()), timestep / 2)
            velocities = velocities * factor
        kinetic = float((masses * velocities**2).sum()) / 2
        output.step(fractional, energy, forces, kinetic, energy + kinetic + thermostat.energy(chain))
        chain, factor = thermostat.scaled(chain, 2 * kinetic, timestep / 2)
        half = (velocities * factor + dt / 2 * forces / masses) * units.fs
        fractional = fractional + half / units.fs * dt @ to_cell
        given.contcar(fractional, half, chain, timestep)
        if output.interrupted():
            break
    output.end()


def relaxation(given, incar, model, output):
    fractional, to_cell, step, last = given.fractional, np.linalg.inv(given.cell), 0.02, None
    for _ in range(int(incar["NSW"])):
        energy, forces = model(fractional)
        output.step(fractional, energy, forces)
        if np.sqrt((forces**2).sum(axis=1)).max() < -float(incar["EDIFFG"]):
            given.contcar(fractional)
            return output.end(converged=True)
        if last is not None:
            # Barzilai and Borwein's step.
            moved, changed = (fractional - last[0]) @ given.cell, last[1] - forces
            step = min(0.05, abs(np.vdot(moved, moved) / np.vdot(moved, changed)))
        last = fractional, forces
        move = forces * step
        move *= min(1.0, 0.1 / np.abs(move).max())
        fractional = fractional + move @ to_cell
        given.contcar(fractional)
        if output.interrupted():
            break
    return output.end()


def main():
    incar, given = read_incar(), Input()
    if FAULT.get("only_dynamics") and incar["IBRION"] != "0":
        FAULT.clear()
    if FAULT.get("crash"):
        sys.exit("forrtl: severe (174): SIGSEGV, segmentation fault occurred")
    output = Output(given, incar)
    if FAULT.get("brmix") and not {"ISTART", "IMIX"} & set(incar):
        print(" BRMIX: very serious problems\n the old and the new charge density differ", flush=True)
        output.end()
        sys.exit(1)
    run = dynamics if incar["IBRION"] == "0" else relaxation
    run(given, incar, Model(given), output)


main()
