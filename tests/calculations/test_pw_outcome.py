"""What is made of runs that ended badly, from nodes as the engine would leave them; no pw.x is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState

from aiida_traincraft.calculations.pw_outcome import run_refusal
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.science.config.labelling.quantumespresso import QuantumEspressoLabelling
from aiida_traincraft.science.labelling.quantumespresso import Refusal

SECTION = QuantumEspressoLabelling(pseudo_family='any')
STOP = f' {"%" * 78}\n     Error in routine readpp (2):\n     file is empty\n {"%" * 78}\n\n     stopping ...\n'
# Of a run that ended as it should.
SCF = """     iteration #  1     ecut=    12.00 Ry     beta= 0.40
     estimated scf accuracy    <       0.06183 Ry
     iteration #  2     ecut=    12.00 Ry     beta= 0.40
     estimated scf accuracy    <       0.01795552 Ry
     convergence NOT achieved after   2 iterations: stopping
   JOB DONE.
"""
KILLED = 'STOP 2\nerror: *** JOB 5 CANCELLED ***\n'
RUNTIME = 'At line 761\nFortran runtime error: End of file\n\nError termination. Backtrace:\n#0  0x7f in ???\n'


@pytest.fixture
def make_run(localhost) -> Callable[..., orm.WorkChainNode]:
    """Function that makes a PwBaseWorkChain and its runs of pw.x: exit status, or state, and files that came back."""

    def make(*jobs: tuple[int | ProcessState, dict[str, str] | None], exit_status: int = 402) -> orm.WorkChainNode:
        run = orm.WorkChainNode(process_type='aiida.workflows:quantumespresso.pw.base')
        run.store()
        for index, (ended, files) in enumerate(jobs):
            job = orm.CalcJobNode(computer=localhost, process_type='aiida.calculations:quantumespresso.pw')
            job.base.links.add_incoming(run, LinkType.CALL_CALC, f'iteration_{index:02d}')
            if isinstance(ended, ProcessState):
                job.set_process_state(ended)
            else:
                job.set_process_state(ProcessState.FINISHED)
                job.set_exit_status(ended)
            job.set_option('scheduler_stderr', '_scheduler-stderr.txt')
            job.store()
            if files is not None:
                retrieved = orm.FolderData()
                for name, content in files.items():
                    retrieved.base.repository.put_object_from_bytes(content.encode(errors='surrogateescape'), name)
                retrieved.base.links.add_incoming(job, LinkType.CREATE, 'retrieved')
                retrieved.store()
        run.set_process_state(ProcessState.FINISHED)
        run.set_exit_status(exit_status)
        run.set_exit_message('message of the WorkChain')
        return run

    return make


def judge(run: orm.WorkChainNode) -> Refusal:
    refused, jobs = run_refusal(SECTION, run, '6.7MaX', periodic=True)
    assert [job.pk for job in jobs] == sorted(job.pk for job in run.called)
    assert refused is not None
    return refused


@pytest.mark.parametrize(
    ('exit_status', 'files', 'reason', 'detail'),
    [
        (410, {'aiida.out': SCF}, 'SCF not converged', '2 iterations, estimated error 0.01795552 Ry'),
        (410, {'aiida.out': 'the last line\n\n'}, 'SCF not converged', 'the last line'),
        (400, {'aiida.out': SCF}, 'walltime', '2 SCF iterations begun'),
        (120, {}, 'walltime', 'ERROR_SCHEDULER_OUT_OF_WALLTIME'),
        (110, {}, 'out of memory', 'ERROR_SCHEDULER_OUT_OF_MEMORY'),
        (140, {}, 'scheduler failure', 'ERROR_SCHEDULER_NODE_FAILURE'),
        (100, None, 'scheduler failure', 'ERROR_NO_RETRIEVED_FOLDER'),
        (302, {}, 'scheduler failure', 'ERROR_OUTPUT_STDOUT_MISSING'),
        (305, {'aiida.out': STOP}, 'pw.x stopped', 'Error in routine readpp (2): file is empty'),
        (305, {'CRASH': STOP, 'aiida.out': 'nothing\n'}, 'pw.x stopped', 'Error in routine readpp (2): file is empty'),
        (305, {'aiida.out': 'of the beginning\n'}, 'scheduler failure', 'of the beginning'),
        (
            312,
            {'aiida.out': 'x\n', '_scheduler-stderr.txt': KILLED},
            'scheduler failure',
            'error: *** JOB 5 CANCELLED ***',
        ),
        (303, {}, 'scheduler failure', 'ERROR_OUTPUT_XML_MISSING'),
        (303, {'aiida.out': SCF}, 'pw.x stopped', 'ERROR_OUTPUT_XML_MISSING'),
        (305, {'_scheduler-stderr.txt': RUNTIME}, 'pw.x stopped', 'At line 761 Fortran runtime error: End of file'),
        (305, {'CRASH': '\udcff'}, 'scheduler failure', 'ERROR_OUTPUT_FILES'),
        (531, {}, 'odd number of electrons with fixed occupations', 'ERROR_CHARGE_IS_WRONG'),
        (999, {}, 'pw.x stopped', 'exit status 999: None'),
    ],
)
def test_the_last_run_says_why(make_run, exit_status, files, reason, detail):
    run = make_run((410, {'aiida.out': 'of an earlier run\n'}), (exit_status, files), exit_status=401)
    assert judge(run) == Refusal(reason, detail)


def test_a_job_that_was_killed(make_run):
    assert judge(make_run((ProcessState.KILLED, None))) == Refusal('broke off in AiiDA', 'the process is killed')


def test_a_job_that_excepted(make_run):
    run = make_run((ProcessState.EXCEPTED, {'aiida.out': 'all well\n'}))
    run.called[0].set_exception('Traceback (most recent call last):\n  File "parser.py"\nKeyError: \'bands\'\n')
    assert judge(run) == Refusal('broke off in AiiDA', "KeyError: 'bands'")


@pytest.mark.parametrize(
    ('occupation', 'reason', 'detail'),
    [
        (0.2, 'too few bands', 'the highest band holds 0.200 electrons after 2 runs; message of the WorkChain'),
        (0.0, 'broke off in AiiDA', 'message of the WorkChain'),
    ],
)
def test_a_good_run_that_did_not_suffice(make_run, occupation, reason, detail):
    run = make_run((0, None), (0, {'aiida.out': SCF}), exit_status=401)
    bands = orm.BandsData()
    bands.set_kpoints([[0.0, 0.0, 0.0]])
    bands.set_bands([[-1.0, 2.0]], units='eV', occupations=[[2.0, occupation]])
    job = max(run.called, key=lambda node: node.pk)
    for label, node in {'output_band': bands, 'output_parameters': orm.Dict({'occupations': 'smearing'})}.items():
        node.base.links.add_incoming(job, LinkType.CREATE, label)
        node.store()
    assert judge(run) == Refusal(reason, detail)


def test_a_job_that_was_never_made(make_run):
    assert judge(make_run()) == Refusal('pw.x was not started', 'message of the WorkChain')


def test_a_good_run_with_the_pseudopotential_of_another_element(make_run, pseudo_family, silicon_frames):
    """The engine runs it, and pw.x ends well."""
    run = orm.WorkChainNode(process_type='aiida.workflows:quantumespresso.pw.base')
    structure = TrainingStructureData(silicon_frames[0]).store()
    inputs = {'pw__structure': structure, 'pw__pseudos__Si': pseudo_family.get_pseudo('Al')}
    for label, node in inputs.items():
        run.base.links.add_incoming(node, LinkType.INPUT_WORK, label)
    run.set_process_state(ProcessState.FINISHED)
    run.set_exit_status(0)
    run.store()
    job = orm.CalcJobNode(process_type='aiida.calculations:quantumespresso.pw')
    job.base.links.add_incoming(orm.Dict({'ELECTRONS': {'conv_thr': 1e-9}}).store(), LinkType.INPUT_CALC, 'parameters')
    job.base.links.add_incoming(run, LinkType.CALL_CALC, 'iteration_01')
    job.store()
    parameters: dict[str, Any] = {'energy': -108.0}
    output = orm.Dict(parameters)
    output.base.links.add_incoming(job, LinkType.CREATE, 'output_parameters')
    output.store()
    output.base.links.add_incoming(run, LinkType.RETURN, 'output_parameters')
    assert judge(run) == Refusal('wrong pseudopotential', 'that of Si is of another element')
