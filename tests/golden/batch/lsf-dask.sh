#!/bin/bash -l
#BSUB -J hpcstem-dask
#BSUB -o /scratch/run/dask.log
#BSUB -nnodes 1
#BSUB -W 01:00
#BSUB -rn
#BSUB -P ABC123

set -e
cd /scratch/run

# Dask workers on this node.
exec /opt/hpcstem/bin/hpcstem --odd 'it'"'"'s $HOME; `id`'
