#!/bin/bash -l
#PBS -N hpcstem-fits
#PBS -j oe
#PBS -o /scratch/run/fits.log
#PBS -l select=1
#PBS -l walltime=01:00:00
#PBS -r y
#PBS -A ABC123
#PBS -l place=scatter:excl

set -e
cd /scratch/run

# MPI ranks, each with one thread.
export OMP_NUM_THREADS=1
exec mpiexec -n 1 -ppn 1 /opt/hpcstem/bin/hpcstem potentials fit /data/study.yaml --out /scratch/fit
