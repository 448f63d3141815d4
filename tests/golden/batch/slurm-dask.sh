#!/bin/bash -l
#SBATCH --job-name=hpcstem-dask
#SBATCH --output=/scratch/run/dask.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --exclusive
#SBATCH --time=01:00:00
#SBATCH --no-requeue
#SBATCH --account=ABC123

set -e
cd /scratch/run

# Dask workers on this node.
exec /opt/hpcstem/bin/hpcstem --odd 'it'"'"'s $HOME; `id`'
