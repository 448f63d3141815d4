#!/bin/bash -l
#BSUB -J {{ job.name | quoted }}
#BSUB -o {{ job.log | quoted }}
#BSUB -nnodes {{ job.size.nodes }}
#BSUB -W {{ minutes }}
#BSUB {{ "-rn" if job.kind == "dask" else "-r" }}
{% for option, value in [("P", site.scheduler.account), ("q", site.scheduler.queue)] if value %}
#BSUB -{{ option }} {{ value | quoted }}
{% endfor %}
{% for directive in site.scheduler.directives %}
#BSUB {{ directive | words }}
{% endfor %}
