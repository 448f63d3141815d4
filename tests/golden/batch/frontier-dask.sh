#!/bin/bash -l
#SBATCH --job-name=hpcstem-dask
#SBATCH --output=/scratch/run/dask.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --exclusive
#SBATCH --time=02:00:00
#SBATCH --no-requeue
#SBATCH --account=ABC123
#SBATCH --partition=batch
#SBATCH -S 8

set -e
cd /scratch/run

# Dask workers on this node.
exec /opt/hpcstem/bin/hpcstem --odd 'it'"'"'s $HOME; `id`'
