#!/bin/bash -l
#SBATCH --job-name=hpcstem-fits
#SBATCH --output=/scratch/run/fits.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --exclusive
#SBATCH --time=02:00:00
#SBATCH --requeue
#SBATCH --account=ABC123
#SBATCH --partition=batch
#SBATCH -S 8

set -e
cd /scratch/run

# MPI ranks, each with one thread.
export OMP_NUM_THREADS=1
exec srun --nodes=1 --ntasks=56 --ntasks-per-node=56 --cpus-per-task=1 --gpus-per-node=8 /opt/hpcstem/bin/hpcstem potentials fit /data/study.yaml --out /scratch/fit
