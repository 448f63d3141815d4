#!/bin/bash -l
#PBS -N hpcstem-queue
#PBS -j oe
#PBS -o /scratch/run/queue.log
#PBS -l select=1
#PBS -l walltime=01:00:00
#PBS -r y
#PBS -A ABC123
#PBS -q capacity
#PBS -l filesystems=home:flare
#PBS -l place=scatter

# Counted from here: what the job waited for is not part of its time.
begin=$(date +%s)

set -e
cd /scratch/run
module load frameworks
export ZE_FLAT_DEVICE_HIERARCHY=FLAT

# One launcher of simulations on each node; it stops them before the job ends.
exec mpiexec -n 1 -ppn 1 --cpu-bind none /opt/hpcstem/bin/hpcstem queue launch --db /scratch/db --end-time "$((begin + 3600))"
