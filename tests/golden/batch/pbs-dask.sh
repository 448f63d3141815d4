#!/bin/bash -l
#PBS -N hpcstem-dask
#PBS -j oe
#PBS -o /scratch/run/dask.log
#PBS -l select=1
#PBS -l walltime=01:00:00
#PBS -r n
#PBS -A ABC123
#PBS -l place=scatter:excl

set -e
cd /scratch/run

# Dask workers on this node.
exec /opt/hpcstem/bin/hpcstem --odd 'it'"'"'s $HOME; `id`'
