{% include head %}
{% include "setup.sh" %}
# Dask workers on this node.
exec {{ job.command | words }}
