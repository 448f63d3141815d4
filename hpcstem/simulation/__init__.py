"""First-principles and semi-empirical jobs: an embedded job database, a FireWorks queue, engines and results.

`database` keeps the queue, `launchpad` opens it, `workflow` adds jobs, `launcher` runs them, `queue` and `results`
say how they went. `engines` compute: GFN1-xTB is built in.
"""
