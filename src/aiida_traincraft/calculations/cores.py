"""Cores that a job takes."""

from __future__ import annotations

from aiida import orm


def job_cores(job: orm.CalcJobNode, concurrent: int = 1) -> int:
    """Cores of a job, or of one of the runs that share it side by side.

    Parameters
    ----------
    job
        The job; its options tell processes and cores (else threads) of each.
    concurrent
        Runs side by side.
    """
    resources = job.get_option('resources') or {}
    environment = job.get_option('environment_variables') or {}
    processes: int = resources.get('num_machines', 1) * resources.get('num_mpiprocs_per_machine', 1)
    cores = resources.get('num_cores_per_mpiproc') or environment.get('OMP_NUM_THREADS', 1)
    return max(1, processes // concurrent) * int(cores)
