#!/bin/bash -l
#SBATCH --job-name=hpcstem-fits
#SBATCH --output=/scratch/run/fits.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --exclusive
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --account=ABC123
#SBATCH --qos=regular
#SBATCH --constraint=gpu
#SBATCH --gpus-per-node=4

set -e
cd /scratch/run

# MPI ranks, each with one thread.
export OMP_NUM_THREADS=1
exec srun --nodes=1 --ntasks=64 --ntasks-per-node=64 --cpus-per-task=1 --gpus-per-node=4 /opt/hpcstem/bin/hpcstem potentials fit /data/study.yaml --out /scratch/fit
