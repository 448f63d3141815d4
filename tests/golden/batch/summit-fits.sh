#!/bin/bash -l
#BSUB -J hpcstem-fits
#BSUB -o /scratch/run/fits.log
#BSUB -nnodes 1
#BSUB -W 01:00
#BSUB -r
#BSUB -P ABC123
#BSUB -q batch
#BSUB -alloc_flags smt1

set -e
cd /scratch/run

# MPI ranks, each with one thread.
export OMP_NUM_THREADS=1
exec jsrun -n 42 -r 42 -a 1 -c 1 -g 0 /opt/hpcstem/bin/hpcstem potentials fit /data/study.yaml --out /scratch/fit
