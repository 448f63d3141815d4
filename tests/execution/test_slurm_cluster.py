"""The cluster of the tests is a real one: its nodes run, lose and finish jobs."""

from slurm_cluster import SlurmCluster, wait_until


def test_a_job_runs_on_every_node_and_a_lost_node_comes_back(slurm: SlurmCluster):
    where = slurm.run("srun", "--nodes=4", "--ntasks-per-node=1", "printenv", "SLURMD_NODENAME").split()
    assert sorted(where) == list(slurm.nodes)
    job = slurm.run("sbatch", "--parsable", "--nodelist=n2", "--no-requeue", "--wrap=srun sleep 3600")
    wait_until(lambda: slurm.jobs()[job] == "RUNNING", "the job runs")
    slurm.lose_node("n2")
    wait_until(lambda: slurm.jobs()[job] == "NODE_FAIL", "its node is lost")
    slurm.cancel_all()
    assert slurm.run("sinfo", "--noheader", "--format=%D %t") == "4 idle"
