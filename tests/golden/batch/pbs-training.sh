#!/bin/bash -l
#PBS -N hpcstem-training
#PBS -j oe
#PBS -o /scratch/run/training.log
#PBS -l select=1
#PBS -l walltime=01:00:00
#PBS -r y
#PBS -A ABC123
#PBS -l place=scatter:excl

set -e
cd /scratch/run

# One process, which starts a group of processes for each network on the nodes of this job.
exec /opt/hpcstem/bin/hpcstem train /data/recipe.yaml --out /scratch/ensemble
