#!/bin/bash -l
#SBATCH --job-name={{ job.name | quoted }}
#SBATCH --output={{ job.log | quoted }}
#SBATCH --open-mode=append
#SBATCH --nodes={{ job.size.nodes }}
#SBATCH --exclusive
#SBATCH --time={{ hours }}
#SBATCH --{{ "no-requeue" if job.kind == "dask" else "requeue" }}
{% for option, value in [
  ("account", site.scheduler.account), ("partition", site.scheduler.queue),
  ("qos", site.scheduler.qos), ("constraint", site.scheduler.constraint)] if value %}
#SBATCH --{{ option }}={{ value | quoted }}
{% endfor %}
{% for directive in site.scheduler.directives %}
#SBATCH {{ directive | words }}
{% endfor %}
