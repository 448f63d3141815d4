#!/usr/bin/env python3
"""Stand-in for DFTB+: GFN1-xTB forces behind DFTB+'s files, with its order of velocity Verlet and thermostat.

It shows that files and restarts are right, not physics. Its parser is strict: a keyword that the manual does not have
at that place is an error. The JSON in DFTB_STANDIN tells it to fail, by steps of this run: `hang_after` (waits for
ever, or for stop_driver with `hang_until_stop`), `die_after` (killed by itself), `torn` (with `die_after`: files break
off).
"""

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms, units
from tblite.ase import TBLite

from hpcstem.simulation.motion.nose_hoover import CHAIN_LENGTH, NoseHooverChain

FAULT = json.loads(os.environ.get("DFTB_STANDIN", "{}"))
VERLET = {"Steps", "TimeStep", "MovedAtoms", "KeepStationary", "MDRestartFrequency", "Thermostat", "Velocities"}
KNOWN = {
    "": {"Geometry", "Driver", "Hamiltonian", "Options", "Analysis", "ParserOptions"},
    "GenFormat": set(),
    "GeometryOptimisation": {"Optimiser", "MovedAtoms", "MaxSteps", "AppendGeometries", "Convergence"},
    "Rational": set(),
    "Convergence": {"GradElem"},
    "VelocityVerlet": {
        "Steps",
        "TimeStep",
        "MovedAtoms",
        "KeepStationary",
        "MDRestartFrequency",
        "Thermostat",
        "Velocities",
    },
    "NoseHoover": {"Temperature", "CouplingStrength", "Restart"},
    "Restart": {"x", "v", "g"},
    "xTB": {"Method", "SCCTolerance", "Charge", "Filling", "KPointsAndWeights"},
    "Fermi": {"Temperature"},
    "SupercellFolding": set(),
    "Options": {"WriteResultsTag", "RestartFrequency"},
    "Analysis": {"PrintForces"},
    "ParserOptions": {"ParserVersion", "IgnoreUnprocessedNodes"},
}
HARTREE_BOHR = units.Hartree / units.Bohr


def parse(text):
    """Tree of keywords: text for a value, a dictionary for a block, whose kind is under the empty key."""
    tokens = re.findall(r'"[^"]*"|\[[^\]]*\]|<<<|[{}=]|[^\s{}=\[\]"]+', text)
    at = 0

    def block(kind):
        nonlocal at
        found = {"": kind, "words": []}
        while at < len(tokens) and tokens[at] != "}":
            name = tokens[at]
            ahead = [k for k in range(at + 1, min(at + 3, len(tokens))) if not tokens[k].startswith("[")]
            if name == "<<<" or not ahead or tokens[ahead[0]] not in ("=", "{"):
                found["words"].append(name)
                at += 1
                continue
            if name not in KNOWN.get(kind, set()):
                sys.exit(f"ERROR! The following node has not been processed: {kind}/{name}")
            at = ahead[0] + (tokens[ahead[0]] == "=")
            of = name
            if tokens[at] != "{" and at + 1 < len(tokens) and tokens[at + 1] == "{":
                of, at = tokens[at], at + 1
            if tokens[at] == "{":
                at += 1
                found[name] = block(of)
                at += 1
                continue
            line = text_of_line(name)
            found[name] = " ".join(line)
            at += len(line)
        return found

    def text_of_line(name):
        # A value goes to the end of its line.
        match = re.search(rf"^\s*{re.escape(name)}(?: \[[^\]]*\])? = (.*)$", text, re.MULTILINE)
        return re.findall(r'"[^"]*"|[^\s]+', match[1])

    return block("")


def read_gen():
    lines = Path("geometry.gen").read_text().splitlines()
    n, kind = int(lines[0].split()[0]), lines[0].split()[1]
    species = lines[1].split()
    rows = [line.split() for line in lines[2 : 2 + n]]
    cell = np.array([line.split() for line in lines[3 + n : 6 + n]], float) if kind == "S" else None
    symbols = [species[int(row[1]) - 1] for row in rows]
    return Atoms(symbols, np.array([row[2:] for row in rows], float), cell=cell, pbc=kind == "S")


def moved(text, n):
    if text == "1:-1":
        return np.ones((n, 1))
    numbers = np.zeros((n, 1))
    for word in text.split():
        first, _, last = word.partition(":")
        numbers[int(first) - 1 : int(last or first)] = 1
    return numbers


class Files:
    def __init__(self, atoms):
        self.atoms, self.n = atoms, -1
        for name in ("md.out", "geo_end.xyz", "results.tag"):
            Path(name).unlink(missing_ok=True)
        print("|" + "=" * 79 + "\n|\n|  DFTB+ stand-in 0\n|", flush=True)

    def forces(self, positions):
        atoms = self.atoms.copy()
        atoms.positions = positions
        atoms.calc = TBLite(method="GFN1-xTB", accuracy=0.1, verbosity=0)
        return float(atoms.get_potential_energy()), np.array(atoms.get_forces())

    def printed(self, energy):
        self.n += 1
        print(f"{'Total Mermin free energy:':31s}{energy / units.Hartree:18.10f} H {energy:16.4f} eV", flush=True)

    def frame(self, positions, velocities=None):
        columns = [positions, np.zeros((len(positions), 1))] + ([] if velocities is None else [velocities])
        rows = np.concatenate(columns, axis=1)
        symbols = self.atoms.get_chemical_symbols()
        lines = [f"{len(rows):5d}", f"MD iter: {self.n}"]
        lines += [f"{s:>5s}" + "".join(f" {x:16.8f}" for x in row) for s, row in zip(symbols, rows, strict=True)]
        self.append("geo_end.xyz", "\n".join(lines) + "\n")

    def append(self, name, text):
        if self.n == FAULT.get("die_after") and FAULT.get("torn"):
            text = text[: int(len(text) * 0.7)]
        with open(name, "a") as handle:
            handle.write(text)

    def stopped(self):
        if self.n == FAULT.get("hang_after"):
            Path("hanging").touch()
            while not (Path("stop_driver").exists() and FAULT.get("hang_until_stop")):
                time.sleep(0.05)
        if self.n == FAULT.get("die_after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return Path("stop_driver").exists()

    def end(self, energy, forces):
        rows = "\n".join(" ".join(f"{x:24.15E}" for x in row) for row in forces / HARTREE_BOHR)
        Path("results.tag").write_text(
            f"mermin_energy       :real:0:\n {energy / units.Hartree:24.15E}\n"
            f"forces              :real:2:3,{len(forces)}\n{rows}\n"
        )


def forces_alone(atoms, files):
    energy, forces = files.forces(atoms.positions)
    files.printed(energy)
    files.end(energy, forces)
    if atoms.pbc.all():
        atoms.calc = TBLite(method="GFN1-xTB", accuracy=0.1, verbosity=0)
        stress = -atoms.get_stress(voigt=False) * units.Bohr**3 / units.Hartree
        rows = "\n".join(" ".join(f"{x:24.15E}" for x in row) for row in stress)
        with open("results.tag", "a") as handle:
            handle.write(f"stress              :real:2:3,3\n{rows}\n")


def dynamics(driver, atoms, files):
    n_steps, timestep = int(driver["Steps"]), float(driver["TimeStep"])
    heat = driver["Thermostat"]
    free, masses = moved(driver["MovedAtoms"], len(atoms)), atoms.get_masses()[:, None]
    n_degrees = int(3 * free.sum()) - 3 * (driver["KeepStationary"] == "Yes")
    time_fs = 1e5 / (2.99792458 * float(heat["CouplingStrength"]) * 2 * np.pi)
    thermostat = NoseHooverChain(float(heat["Temperature"]), time_fs, n_degrees)
    chain = np.zeros((2, CHAIN_LENGTH))
    if "Restart" in heat:
        chain = np.array([heat["Restart"][name]["words"] for name in "xv"], float)
    velocities = np.array(driver["Velocities"]["words"], float).reshape(-1, 3) / 1000 / units.fs
    dt, positions, stored = timestep * units.fs, atoms.positions, None
    for step in range(n_steps + 1):
        energy, forces = files.forces(positions)
        files.printed(energy)
        if stored is not None:
            velocities = stored + dt / 2 * forces * free / masses
        kinetic = float((masses * velocities**2).sum()) / 2
        rows = "".join("".join(f"{x:24.8E}" for x in row) + "\n" for row in forces / HARTREE_BOHR)
        names = zip("xvg", [*chain, np.zeros(3)], strict=True)
        state = "".join(f"{name}:\n" + "".join(f"{x:20.10E}" for x in row) + "\n" for name, row in names)
        values = {"Potential Energy": energy, "MD Kinetic Energy": kinetic, "Total MD Energy": energy + kinetic}
        lines = "".join(f"{k + ':':31s}{v / units.Hartree:18.10f} H {v:16.4f} eV\n" for k, v in values.items())
        temperature = 2 * kinetic / (n_degrees * units.kB)
        files.append(
            "md.out",
            f"MD step: {step}\nNose-Hoover chain variables\n{state}Forces (au)\n{rows}{lines}"
            f"{'MD Temperature:':31s}{temperature * units.kB / units.Hartree:18.10f} au {temperature:16.4f} K\n",
        )
        files.frame(positions, velocities * units.fs * 1000)
        stored = velocities + dt / 2 * forces * free / masses
        positions = positions + dt * stored
        chain, factor = thermostat.scaled(chain, float((masses * stored**2).sum()), timestep)
        stored = stored * factor
        if files.stopped():
            break
    files.end(energy, forces)


def relaxation(driver, atoms, files):
    free, positions = moved(driver["MovedAtoms"], len(atoms)), atoms.positions
    step, last, limit = 0.02, None, float(driver["Convergence"]["GradElem"])
    for _ in range(int(driver["MaxSteps"]) + 1):
        energy, forces = files.forces(positions)
        files.printed(energy)
        files.frame(positions)
        if np.abs(forces * free).max() < limit:
            print("\nGeometry converged", flush=True)
            break
        if files.stopped():
            break
        if last is not None:
            moved_A, changed = positions - last[0], last[1] - forces * free
            step = min(0.05, abs(np.vdot(moved_A, moved_A) / np.vdot(moved_A, changed)))
        last = positions, forces * free
        positions = positions + np.clip(forces * free * step, -0.1, 0.1)
    files.end(energy, forces)


def main():
    if Path("stop_driver").exists():
        sys.exit("ERROR! Stop file 'stop_driver' already present at startup")
    tree = parse(Path("dftb_in.hsd").read_text())
    files = Files(read_gen())
    if "Driver" not in tree:
        forces_alone(files.atoms, files)
        return
    run = dynamics if tree["Driver"][""] == "VelocityVerlet" else relaxation
    run(tree["Driver"], files.atoms, files)


main()
