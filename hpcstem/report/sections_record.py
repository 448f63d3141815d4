"""The first and the last section: the run in a few numbers, and where it all comes from."""

from __future__ import annotations

from hpcstem.report.formatting import UNKNOWN, count, counted, duration, quantity
from hpcstem.report.page import Absent, Block, Facts, Section, Table, Verbatim, shortened
from hpcstem.report.run import Run
from hpcstem.report.sections_structure import defect_totals

_LISTED_INPUTS = 500


def summary_section(run: Run) -> Section:
    """Tell the run in a few numbers, as far as it went."""
    pairs: list[tuple[str, str]] = []
    if run.frames:
        movies = run.frames.movies
        n_frames = sum(movie.n_frames or 0 for movie in movies)
        faults = [run.faults(movie.name) for movie in movies]
        n_faults = count(sum(len(found or []) for found in faults)) if None not in faults else UNKNOWN
        pairs.append(("Input", f"{counted(len(movies), 'movie')}, {counted(n_frames, 'frame')}, {n_faults} faulty"))
    pairs += _decode_pairs(run) + _structure_pairs(run) + _motion_pairs(run) + _simulation_pairs(run)
    if run.provenance and run.provenance.stages:
        seconds = [stage.seconds for stage in run.provenance.stages if stage.seconds is not None]
        pairs.append(("Time over all stages", duration(sum(seconds)) if seconds else UNKNOWN))
    return Section("summary", "Summary", [Facts(pairs)] if pairs else [Absent("Results are", "frames")])


def provenance_section(run: Run) -> Section:
    """Versions, hosts, inputs, stages and the campaign, folded away."""
    blocks: list[Block] = []
    provenance = run.provenance
    if provenance is None:
        blocks.append(Absent("The record of versions and inputs is", "frames"))
    else:
        facts = [
            ("hpcstem", provenance.hpcstem or UNKNOWN),
            ("Commit", provenance.git or UNKNOWN),
            ("Python", provenance.python or UNKNOWN),
            ("Hosts", ", ".join(provenance.hosts) or UNKNOWN),
            ("Seed", UNKNOWN if provenance.seed is None else str(provenance.seed)),
            ("Started", provenance.started or UNKNOWN),
            ("Finished", provenance.finished or UNKNOWN),
            ("SHA-256 of the campaign", provenance.campaign_sha256 or UNKNOWN),
        ]
        stages = [(stage.name, stage.status or UNKNOWN, duration(stage.seconds)) for stage in provenance.stages]
        inputs, note = shortened(
            [(item.path, item.sha256 or UNKNOWN) for item in provenance.inputs], _LISTED_INPUTS, "inputs"
        )
        packages = [(name, version or UNKNOWN) for name, version in sorted(provenance.packages.items())]
        blocks += [
            Facts(facts),
            Table(("Stage", "Status", "Time"), stages, "Stages", text_columns=2),
            Table(("Input", "SHA-256"), inputs, f"Inputs. {note}".strip(), text_columns=2),
            Table(("Package", "Version"), packages, "Packages", text_columns=2),
        ]
    model = run.decode.model if run.decode else None
    if model:
        pixel = quantity(model.pixel_size_A, 4, "Å")
        facts = [
            ("Ensemble", f"{model.name or UNKNOWN}, {count(model.n_members)} networks at {pixel} per pixel"),
            ("SHA-256 of the ensemble", model.sha256 or UNKNOWN),
        ]
        blocks.append(Facts(facts))
    if run.campaign_text is not None:
        blocks.append(Verbatim("campaign.yaml", run.campaign_text))
    return Section("provenance", "Provenance", blocks, folded=True)


def _decode_pairs(run: Run) -> list[tuple[str, str]]:
    decode = run.decode
    if decode is None:
        return []
    atoms = ", ".join(f"{count(number)} {symbol}" for symbol, number in decode.n_atoms.items())
    rate = f"{quantity(decode.frames_per_second, 2)} frames/s in {duration(decode.seconds)}"
    executor = f", {decode.executor} executor" if decode.executor else ""
    pairs = [
        ("Atoms decoded", f"{atoms or UNKNOWN} in {count(decode.n_frames)} frames"),
        ("Decoding", rate + executor),
    ]
    if decode.truth:
        matches = ", ".join(
            f"{name} {quantity(match.precision, 3)} / {quantity(match.recall, 3)}"
            for name, match in decode.truth.species.items()
        )
        ratio = quantity(decode.truth.ratio_to_crlb, 2)
        error = f"{quantity(decode.truth.rmse_A, 3, 'Å')} ({ratio} × Cramér–Rao bound)"
        pairs += [("Precision / recall", matches or UNKNOWN), ("Position error against truth", error)]
    return pairs


def _structure_pairs(run: Run) -> list[tuple[str, str]]:
    if run.structure is None:
        return []
    totals: dict[str, int] = {}
    n_frames = 0
    for movie in run.structure.movies:
        n_frames += len(movie.frames)
        for name, number in defect_totals(movie).items():
            totals[name] = totals.get(name, 0) + number
    ranked = sorted(((name, number) for name, number in totals.items() if number), key=lambda item: -item[1])
    per_frame = ", ".join(f"{name} {quantity(number / n_frames, 2)}" for name, number in ranked[:4])
    pairs = [("Defects per frame", per_frame or "none found")] if n_frames else []
    region = run.structure.region
    if region:
        reason = f" ({region.reason})" if region.reason else ""
        size = quantity(region.size_A, 1, "Å")
        pairs.append(("Region for simulation", f"{region.formula or UNKNOWN}, side {size}{reason}"))
    return pairs


def _motion_pairs(run: Run) -> list[tuple[str, str]]:
    pairs = []
    if run.kinetics_summary:
        classes = ", ".join(run.kinetics_summary.classes)
        pairs.append(("Kinetics of defects", f"between {classes}" if classes else "none"))
    if run.fits:
        known = sum(movie.is_identifiable for movie in run.fits.movies)
        pairs.append(("Forces from motion", f"identifiable in {known:,} of {counted(len(run.fits.movies), 'movie')}"))
    return pairs


def _simulation_pairs(run: Run) -> list[tuple[str, str]]:
    if run.simulation is None:
        return []
    jobs = run.simulation.jobs
    states: dict[str, int] = {}
    for job in jobs:
        states[job.state or "unknown"] = states.get(job.state or "unknown", 0) + 1
    parts = ", ".join(f"{number:,} {state.lower()}" for state, number in sorted(states.items()))
    method = f" by {run.simulation.method}" if run.simulation.method else ""
    pairs = [("Simulation jobs", f"{count(len(jobs))}{method}: {parts}" if jobs else "none")]
    comparison = run.simulation.comparison
    if comparison:
        text = f"{quantity(comparison.rms_displacement_A, 3, 'Å')} root mean square"
        pairs.append(("Decoded against relaxed", f"{text}, {quantity(comparison.max_displacement_A, 3, 'Å')} largest"))
    return pairs
