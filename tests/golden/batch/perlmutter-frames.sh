#!/bin/bash -l
#SBATCH --job-name=hpcstem-frames
#SBATCH --output=/scratch/run/frames.log
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

# One process, which starts Dask workers on the nodes of this job. exec: signals of the batch system reach it.
exec /opt/hpcstem/bin/hpcstem decode '/data/movie one.h5' --out /scratch/run --site S
