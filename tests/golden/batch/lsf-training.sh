#!/bin/bash -l
#BSUB -J hpcstem-training
#BSUB -o /scratch/run/training.log
#BSUB -nnodes 1
#BSUB -W 01:00
#BSUB -r
#BSUB -P ABC123

set -e
cd /scratch/run

# One process, which starts a group of processes for each network on the nodes of this job.
exec /opt/hpcstem/bin/hpcstem train /data/recipe.yaml --out /scratch/ensemble
