#!/bin/bash -l
#SBATCH --job-name=hpcstem-training
#SBATCH --output=/scratch/run/training.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --exclusive
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --account=ABC123

set -e
cd /scratch/run

# One process, which starts a group of processes for each network on the nodes of this job.
exec /opt/hpcstem/bin/hpcstem train /data/recipe.yaml --out /scratch/ensemble
