{% include head %}
{% include "setup.sh" %}
# One launcher of simulations on each node.
exec {{ (launch(1) + job.command | list) | words }}
