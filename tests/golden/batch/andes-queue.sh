#!/bin/bash -l
#SBATCH --job-name=hpcstem-queue
#SBATCH --output=/scratch/run/queue.log
#SBATCH --open-mode=append
#SBATCH --nodes=1
#SBATCH --exclusive
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --account=ABC123
#SBATCH --partition=batch

# Counted from here: what the job waited for is not part of its time.
begin=$(date +%s)

set -e
cd /scratch/run

# One launcher of simulations on each node; it stops them before the job ends.
exec srun --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=32 /opt/hpcstem/bin/hpcstem queue launch --db /scratch/db --end-time "$((begin + 3600))"
