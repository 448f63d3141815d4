
set -e
cd {{ job.folder | quoted }}
{% for module in site.environment.modules %}
module load {{ module | quoted }}
{% endfor %}
{% for line in site.environment.setup %}
{{ line | words }}
{% endfor %}
{% for name, value in site.environment.variables.items() %}
export {{ name }}={{ value | quoted }}
{% endfor %}

