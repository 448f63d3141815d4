#!/bin/bash -l
#PBS -N {{ job.name | quoted }}
#PBS -j oe
#PBS -o {{ job.log | quoted }}
#PBS -l select={{ job.size.nodes }}{{ ":" ~ site.scheduler.chunk if site.scheduler.chunk else "" }}
#PBS -l walltime={{ hours }}
#PBS -r {{ "n" if job.kind == "dask" else "y" }}
{% for option, value in [("A", site.scheduler.account), ("q", site.scheduler.queue)] if value %}
#PBS -{{ option }} {{ value | quoted }}
{% endfor %}
{% for directive in site.scheduler.directives %}
#PBS {{ directive | words }}
{% endfor %}
