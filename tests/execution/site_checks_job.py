"""Check sites on the nodes of the batch job that this program runs in: ANSWER SITE…"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from hpcstem.execution import load_site
from hpcstem.execution.site_checks import site_checks

if __name__ == "__main__":
    answer, *sites = sys.argv[1:]
    found = [[asdict(check) for check in site_checks(load_site(site), site)] for site in sites]
    Path(answer).with_suffix(".part").write_text(json.dumps(found))
    Path(answer).with_suffix(".part").rename(answer)
