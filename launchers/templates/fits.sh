{% include head %}
{% include "setup.sh" %}
# MPI ranks, each with one thread.
export OMP_NUM_THREADS=1
exec {{ (launch(ranks_per_node) + job.command | list) | words }}
