#!/bin/bash -l
#PBS -N hpcstem-fits
#PBS -j oe
#PBS -o /scratch/run/fits.log
#PBS -l select=1
#PBS -l walltime=01:00:00
#PBS -r y
#PBS -A ABC123
#PBS -q capacity
#PBS -l filesystems=home:eagle
#PBS -l place=scatter

set -e
cd /scratch/run

# MPI ranks, each with one thread.
export OMP_NUM_THREADS=1
exec mpiexec -n 32 -ppn 32 --cpu-bind none /opt/hpcstem/bin/hpcstem potentials fit /data/study.yaml --out /scratch/fit
