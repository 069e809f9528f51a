"""Workers as Slurm jobs, by dask-jobqueue: python docs/slurm_cluster.py --certificates DIR --jobs 4 [--gpu].

It stays on the login node, says the address for --cluster, and asks Slurm for jobs until it is ended. Each job has four
workers of one thread, or with --gpu one worker that has the job's GPU for itself. A job that reaches its time limit is
replaced; what it was at is done again, and whole runs go on from their last checkpoint.
"""

import argparse
import signal
import sys
from pathlib import Path

from dask_jobqueue import SLURMCluster

from dfml.cluster.connecting import security_of

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--certificates", type=Path, required=True, help="Folder of `dfml cluster certificates`, shared.")
parser.add_argument("--jobs", type=int, default=1, help="Slurm jobs.")
parser.add_argument("--gpu", action="store_true", help="A GPU a job.")
parser.add_argument("--partition", help="Slurm's partition; its default, if left out.")
parser.add_argument("--walltime", default="12:00:00", help="Time limit of a job.")
parser.add_argument("--memory", default="16GB", help="Memory of a job.")
parser.add_argument("--interface", help="The network that login and compute nodes share, such as ib0.")
asked = parser.parse_args()
certificates = asked.certificates.absolute()  # jobs start elsewhere

workers = 1 if asked.gpu else 4
cluster = SLURMCluster(
    queue=asked.partition,
    walltime=asked.walltime,
    memory=asked.memory,
    cores=workers,
    processes=workers,  # one thread each
    interface=asked.interface,
    protocol="tls://",
    security=security_of("tls", certificates),
    scheduler_options={"dashboard": False},
    worker_extra_args=["--no-dashboard", "--memory-limit", "0", *(["--resources", "GPU=1"] if asked.gpu else [])],
    job_extra_directives=["--gres=gpu:1"] if asked.gpu else [],
    python=sys.executable,
)
# Not scale: that would not replace a job whose time is over.
cluster.adapt(minimum_jobs=asked.jobs, maximum_jobs=asked.jobs)
print(f"DFML_CLUSTER={cluster.scheduler_address} DFML_CLUSTER_CERTIFICATES={certificates}", flush=True)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: None)
signal.pause()
cluster.close()  # jobs that wait leave the queue, too
