#!/bin/bash -l
#PBS -N hpcstem-dask
#PBS -j oe
#PBS -o /scratch/run/dask.log
#PBS -l select=1
#PBS -l walltime=01:00:00
#PBS -r n
#PBS -A ABC123
#PBS -q capacity
#PBS -l filesystems=home:flare
#PBS -l place=scatter

set -e
cd /scratch/run
module load frameworks
export ZE_FLAT_DEVICE_HIERARCHY=FLAT

# Dask workers on this node.
exec /opt/hpcstem/bin/hpcstem --odd 'it'"'"'s $HOME; `id`'
