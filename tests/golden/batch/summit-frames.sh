#!/bin/bash -l
#BSUB -J hpcstem-frames
#BSUB -o /scratch/run/frames.log
#BSUB -nnodes 1
#BSUB -W 01:00
#BSUB -r
#BSUB -P ABC123
#BSUB -q batch
#BSUB -alloc_flags smt1

set -e
cd /scratch/run

# One process, which starts Dask workers on the nodes of this job. exec: signals of the batch system reach it.
exec /opt/hpcstem/bin/hpcstem decode '/data/movie one.h5' --out /scratch/run --site S
