{% include head %}
{% include "setup.sh" %}
# One process, which starts a group of processes for each network on the nodes of this job.
exec {{ job.command | words }}
