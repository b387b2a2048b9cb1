import pytest
from aiida import orm

from aiida_traincraft.calculations.cores import job_cores


@pytest.mark.usefixtures('aiida_profile')
@pytest.mark.parametrize(
    ('resources', 'threads', 'concurrent', 'cores'),
    [
        ({'num_machines': 1, 'num_mpiprocs_per_machine': 1}, None, 1, 1),
        ({'num_machines': 2, 'num_mpiprocs_per_machine': 8}, '1', 1, 16),
        ({'num_machines': 2, 'num_mpiprocs_per_machine': 8}, '4', 4, 16),
        ({'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_mpiproc': 6}, '1', 1, 6),
        ({'num_machines': 1, 'num_mpiprocs_per_machine': 2}, '3', 4, 3),
    ],
)
def test_cores_of_a_job(resources, threads, concurrent, cores):
    job = orm.CalcJobNode()
    job.set_option('resources', resources)
    if threads is not None:
        job.set_option('environment_variables', {'OMP_NUM_THREADS': threads})
    assert job_cores(job, concurrent) == cores
