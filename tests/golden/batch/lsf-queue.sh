#!/bin/bash -l
#BSUB -J hpcstem-queue
#BSUB -o /scratch/run/queue.log
#BSUB -nnodes 1
#BSUB -W 01:00
#BSUB -r
#BSUB -P ABC123

set -e
cd /scratch/run

# One launcher of simulations on each node.
exec jsrun -n 1 -r 1 -a 1 /opt/hpcstem/bin/hpcstem queue launch --db /scratch/db
