#!/bin/bash -l
#PBS -N hpcstem-frames
#PBS -j oe
#PBS -o /scratch/run/frames.log
#PBS -l select=1
#PBS -l walltime=01:00:00
#PBS -r y
#PBS -A ABC123
#PBS -l place=scatter:excl

set -e
cd /scratch/run

# One process, which starts Dask workers on the nodes of this job. exec: signals of the batch system reach it.
exec /opt/hpcstem/bin/hpcstem decode '/data/movie one.h5' --out /scratch/run --site S
