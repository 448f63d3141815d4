{% include head %}
{% include "setup.sh" %}
# One process, which starts Dask workers on the nodes of this job. exec: signals of the batch system reach it.
exec {{ job.command | words }}
