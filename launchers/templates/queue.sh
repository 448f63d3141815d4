{% include head %}

# Counted from here: what the job waited for is not part of its time.
begin=$(date +%s)
{% include "setup.sh" %}
# One launcher of simulations on each node; it stops them before the job ends.
exec {{ (launch(1) + job.command | list) | words }} --end-time "$((begin + {{ job.size.walltime_s }}))"
