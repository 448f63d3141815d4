"""Decode one movie on ranks, a frame per chunk: `mpiexec -n N python decode_ranks.py MOVIE FOLDER`."""

import json
import sys
from pathlib import Path

from hpcstem.execution import MPIExecutor
from hpcstem.files import sha256
from hpcstem.frames import open_movie, plan_chunks
from hpcstem.segmentation.chunks import ChunkOfMovie, DecodeChunks
from hpcstem.segmentation.ensemble import Ensemble, find_ensemble

if __name__ == "__main__":
    movie, folder = open_movie(sys.argv[1]), Path(sys.argv[2])
    chunks = [
        ChunkOfMovie(movie, r, folder / "atoms" / f"chunk-{r.start:06d}-{r.stop:06d}.parquet", sha256(movie.path))
        for r in plan_chunks(movie, 260_000)
    ]
    model = find_ensemble("graphene-si")
    with MPIExecutor() as executor:
        summary = executor.run(DecodeChunks(model, Ensemble.load(model).digest), chunks)
        if executor.is_root:
            print(json.dumps({"ranks": executor.workers, "frames": summary.n_frames}))
