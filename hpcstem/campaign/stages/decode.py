"""Stage `decode`: frames to atoms on the executor, one file per chunk, only those that are missing."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcstem.campaign.progress import progress_bar
from hpcstem.campaign.run import Outputs
from hpcstem.campaign.schema import Campaign
from hpcstem.campaign.stage import Job, Stage
from hpcstem.campaign.stages.decode_samples import MovieSample, sample_frames
from hpcstem.campaign.stages.frames import movie_paths, open_movies
from hpcstem.files import whole_file, write_json
from hpcstem.segmentation.chunks import FORMAT

if TYPE_CHECKING:
    from hpcstem.frames import Movie
    from hpcstem.segmentation.chunks import ChunkOfMovie, DecodeChunks, DecodeSummary


def settings(campaign: Campaign) -> Any:
    """The `decode` section and how bad frames are treated."""
    return {"decode": campaign.decode.model_dump(mode="json"), "bad_frames": campaign.frames.bad_frames}


def inputs(job: Job) -> dict[str, str]:
    """Digests of the movies and of the ensemble."""
    from hpcstem.segmentation.ensemble import find_ensemble

    folder = find_ensemble(job.campaign.decode.model)
    movies = {name: job.digests.of(path) for name, path in movie_paths(job).items()}
    return {**movies, **{f"model/{file.name}": job.digests.of(file) for file in sorted(folder.iterdir())}}


def work(job: Job) -> Outputs:
    """Write `decode/atoms/MOVIE/chunk-*.parquet`, `decode/decode.json`, and of each movie what else its frames show.

    That is `decode/maps/MOVIE.npz` of sample frames, and `decode/frames/MOVIE.json` with cover and candidates.
    """
    from hpcstem.campaign.lattice_hint import lattice_hint
    from hpcstem.segmentation.chunks import DecodeChunks, DecodeSummary
    from hpcstem.segmentation.ensemble import Ensemble, find_ensemble
    from hpcstem.segmentation.reference import load_reference

    model = find_ensemble(job.campaign.decode.model)
    ensemble = Ensemble.load(model)
    reference = load_reference(model, ensemble)
    section = job.campaign.decode
    analysis = DecodeChunks(model, ensemble.digest, job.campaign.frames.bad_frames == "skip", section.refine)
    movies = open_movies(job)
    samples = {movie.name: MovieSample(movie, model, ensemble) for movie in movies}
    members = {name: sample.agreeing if section.members == "agreeing" else () for name, sample in samples.items()}
    chunks = [chunk for movie in movies for chunk in plan(job, movie, members[movie.name])]
    started = time.monotonic()
    missing = [c for c in chunks if not job.run.intact("decode", c.path) or analysis.written(c) is None]
    if missing:
        bar = progress_bar("decode", len(missing), "chunk")
        with lattice_hint(movies), job.make_executor() as executor, bar as update:
            executor.run(analysis, missing, on_batch=update)
    seconds = time.monotonic() - started
    total = sum((_written(analysis, chunk) for chunk in chunks), DecodeSummary())
    notes = [_write_maps(job, samples[movie.name]) for movie in movies]
    notes += [_write_frames(job, movie.name, total) for movie in movies]
    redone = sum(len(chunk.frames) for chunk in missing)
    path = job.run.path("decode/decode.json")
    write_json(
        path,
        {
            "model": {
                "name": ensemble.name,
                "sha256": ensemble.digest,
                "n_members": len(ensemble.card.members),
                "calibrated": ensemble.card.confidence is not None,
                "pixel_size_A": ensemble.card.pixel_size_A,
            },
            "refine": section.refine,
            "seconds": seconds,
            "frames_per_second": redone / seconds if redone else None,
            "n_frames": total.n_frames,
            "n_chunks": len(chunks),
            "n_chunks_decoded_now": len(missing),
            "n_atoms": dict(sorted(total.n_atoms.items())),
            "movies": [
                {**sample.record(reference), "decoded_by": list(members[name] or ensemble.card.members)}
                for name, sample in samples.items()
            ],
            "n_obscured": sum(frame.n_obscured for frame in total.frames),
            "n_candidates": sum(len(frame.candidates) for frame in total.frames),
            "faults": [{"movie": name, "frame": fault.frame, "kind": fault.kind.value} for name, fault in total.faults],
            "truth": _against_truth(job, chunks),
        },
    )
    job.run.remove_others("decode/atoms/*/*.parquet", [chunk.path for chunk in chunks])
    job.run.remove_others("decode/atoms/*/.*.tmp", [])
    job.run.remove_others("decode/maps/*.npz", notes)
    job.run.remove_others("decode/frames/*.json", notes)
    return Outputs(tuple(chunk.path for chunk in chunks), (path, *notes))


def plan(job: Job, movie: Movie, members: tuple[str, ...] = ()) -> list[ChunkOfMovie]:
    """Chunks of a movie, their files, and the members of the ensemble that decode them; none for all."""
    from hpcstem.frames import plan_chunks
    from hpcstem.segmentation.chunks import ChunkOfMovie

    digest = job.digests.of(movie.path)
    return [
        ChunkOfMovie(
            movie,
            r,
            job.run.path(f"decode/atoms/{movie.name}/chunk-{r.start:06d}-{r.stop:06d}.parquet"),
            digest,
            members,
        )
        for r in plan_chunks(movie, int(job.campaign.decode.chunk_MB * 1e6))
    ]


def _written(analysis: DecodeChunks, chunk: ChunkOfMovie) -> DecodeSummary:
    from hpcstem.errors import ExecutionError

    summary = analysis.written(chunk)
    if summary is None:
        raise ExecutionError(f"{chunk.path} after decoding", "no whole file", "to run again")
    return summary


def _write_maps(job: Job, sample: MovieSample) -> Path:
    """Maps of a few frames, for the report."""
    from hpcstem.atoms import AtomTable
    from hpcstem.segmentation.inference import predict

    movie, ensemble = sample.movie, sample.ensemble
    pixel_size_A = movie.require_pixel_size()
    frames = sample_frames(AtomTable.read(job.run.path(f"decode/atoms/{movie.name}")).frame)
    images = [movie.read(int(i), int(i) + 1)[0] for i in frames]
    maps = [
        sample.maps[int(i)] if int(i) in sample.maps else predict(image, pixel_size_A, ensemble)
        for i, image in zip(frames, images, strict=True)
    ]
    path = job.run.path(f"decode/maps/{movie.name}.npz")
    with whole_file(path) as temporary, open(temporary, "wb") as handle:
        np.savez_compressed(
            handle,
            frame=frames,
            image=np.array(images, np.float32),
            probability=np.array([m.mean for m in maps], np.float16),
            spread=np.array([m.spread for m in maps], np.float16),
            map_pixel_size_A=ensemble.card.pixel_size_A,
            pixel_size_A=pixel_size_A,
        )
    return path


def _write_frames(job: Job, movie: str, total: DecodeSummary) -> Path:
    """Cover of each frame of a movie, and the places in it for unknown species and defects."""
    path = job.run.path(f"decode/frames/{movie}.json")
    write_json(path, [asdict(frame) for frame in total.frames if frame.movie == movie])
    return path


def _against_truth(job: Job, chunks: list[ChunkOfMovie]) -> dict[str, Any] | None:
    """Precision, recall and error where the movie was simulated."""
    from hpcstem.atoms import AtomTable
    from hpcstem.campaign.stages.simulate import dose_e_per_A2
    from hpcstem.imaging.bounds import position_bound_A
    from hpcstem.imaging.probe import Probe
    from hpcstem.segmentation.score import Score, score

    section = job.campaign.simulate
    if section is None:
        return None
    truth = AtomTable.read(job.run.path(f"movies/{section.name}-truth.parquet"))
    found = AtomTable.concatenate(AtomTable.read(c.path) for c in chunks)
    field_A = (section.shape[1] * section.pixel_size_A, section.shape[0] * section.pixel_size_A)
    scores: dict[str, Score] = {}
    for frame in np.unique(truth.frame):
        here, there = found.in_frame(frame), truth.in_frame(frame)
        for symbol, one in score(here.positions_A, here.species, there.positions_A, there.species, field_A).items():
            scores[symbol] = scores.get(symbol, Score()) + one
    whole = sum(scores.values(), Score())
    first = truth.in_frame(int(truth.frame.min()))
    centre = np.array(field_A) / 2
    middle = int(np.argmin(((first.positions_A - centre) ** 2).sum(axis=1) + 1e6 * (first.species != "C")))
    probe = Probe(section.voltage_kV, section.convergence_mrad, section.source_sigma_A)
    bound_A = position_bound_A(
        first.positions_A,
        first.species,
        middle,
        section.pixel_size_A,
        probe,
        dose_e_per_A2(section),
        section.background,
    )
    rmse_A = whole.rmse_A / np.sqrt(2)
    return {
        **{s: {"precision": v.precision, "recall": v.recall, "n_true": v.n_true} for s, v in scores.items()},
        "rmse_A": rmse_A,
        "crlb_A": bound_A,
        "ratio_to_crlb": rmse_A / bound_A,
        "tolerance_A": 0.5,
        "dose_e_per_A2": dose_e_per_A2(section),
    }


STAGE = Stage("decode", "find the atoms of every frame", ("simulate", "frames"), settings, work, inputs, FORMAT)
