"""Jobs with their labels and results, and energies of adsorption, which refer to three of them."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpcstem.simulation.jobs import RELAX
from hpcstem.simulation.published import ADSORPTION_EV, CR_ABOVE_HOLLOW_EV
from hpcstem.simulation.results import JobResult
from hpcstem.structure.adsorbates import adsorption_energy_eV

if TYPE_CHECKING:
    from hpcstem.simulation.launchpad import JobLaunchPad


@dataclass(frozen=True)
class JobRecord:
    """One job.

    Parameters
    ----------
    key, name, state
        As in the queue.
    labels
        Where it stands on the axes of its sweep.
    references
        Keys of the relaxations of the bare `sheet` and of the `isolated` adsorbate; empty for other jobs.
    result
        What it found; None where it has not ended well.
    structure
        Structure that it relaxes, as `hpcstem.simulation.jobs.read_structure` takes it; empty where it starts from the
        result of another job.
    """

    key: str
    name: str
    state: str
    labels: Mapping[str, str]
    references: Mapping[str, str]
    result: JobResult | None
    structure: Mapping[str, str]


def read_records(launchpad: JobLaunchPad, query: Mapping[str, Any] | None = None) -> list[JobRecord]:
    """Return the jobs of a query, or all, in the order of their adding."""
    fields = {"fw_id": 1, "name": 1, "state": 1, "spec.key": 1, "spec.labels": 1, "spec.references": 1}
    fields["spec._tasks"] = 1

    def read() -> tuple[list[Any], list[Any]]:
        fireworks = sorted(launchpad.fireworks.find(dict(query or {}), fields), key=lambda one: one["fw_id"])
        return fireworks, list(launchpad.db.results.find({}))

    fireworks, documents = launchpad.patiently(read)
    results = {document["key"]: JobResult.from_document(document) for document in documents}
    return [
        JobRecord(
            one["spec"]["key"],
            one["name"],
            one["state"],
            one["spec"].get("labels") or {},
            one["spec"].get("references") or {},
            results.get(one["spec"]["key"]),
            _given(one["spec"]["_tasks"][0]),
        )
        for one in fireworks
    ]


def _given(task: Mapping[str, Any]) -> dict[str, str]:
    structure = task.get("structure") or {}
    return {} if "parent" in structure else dict(structure)


def adsorption_energies_eV(records: Sequence[JobRecord]) -> dict[str, float]:
    """Return E(sheet) + E(adsorbate) - E(sheet + adsorbate) by the key of the relaxation with the adsorbate [eV].

    Positive where the adsorbate is bound. Only where all three relaxations have converged.

    Parameters
    ----------
    records
        Jobs, those referred to among them.
    """
    energies_eV = {
        one.key: one.result.energy_eV
        for one in records
        if one.result is not None and one.result.converged and one.result.kind == RELAX
    }
    found = {}
    for one in records:
        keys = [one.references.get("sheet"), one.references.get("isolated"), one.key]
        if one.references and all(key in energies_eV for key in keys):
            sheet_eV, isolated_eV, together_eV = (energies_eV[str(key)] for key in keys)
            found[one.key] = adsorption_energy_eV(sheet_eV, isolated_eV, together_eV)
    return found


def adsorption_rows(records: Sequence[JobRecord], wanted: Container[str]) -> list[dict[str, Any]]:
    """Return a row per energy of adsorption, plain JSON: labels, energy, published numbers where there are any.

    `above_hollow_eV` is the energy over that of the same atom at the hollow site near the same place, all else the
    same; None without one.

    Parameters
    ----------
    records
        Jobs, those referred to among them.
    wanted
        Keys of the jobs to give a row.
    """
    energies_eV = adsorption_energies_eV(records)
    bound = [one for one in records if one.key in energies_eV]
    hollow_eV = {_but_site(one): energies_eV[one.key] for one in bound if one.labels.get("site") == "hollow"}
    rows = []
    for one in bound:
        if one.key in wanted and one.result is not None:
            species = one.labels.get("adsorbate", "")
            energy_eV, at_hollow_eV = energies_eV[one.key], hollow_eV.get(_but_site(one))
            found: dict[str, Any] = {
                "adsorption_energy_eV": energy_eV,
                "published_eV": ADSORPTION_EV.get(species),
                "above_hollow_eV": None if at_hollow_eV is None else at_hollow_eV - energy_eV,
                "published_above_hollow_eV": CR_ABOVE_HOLLOW_EV.get(one.labels.get("site", ""))
                if species == "Cr"
                else None,
                "method": one.result.method,
            }
            rows.append({"name": one.name, "key": one.key} | dict(one.labels) | found)
    return rows


def _but_site(record: JobRecord) -> frozenset[tuple[str, str]]:
    return frozenset(item for item in record.labels.items() if item[0] != "site")
