"""What is made of runs that ended badly, from nodes as the engine would leave them; no pw.x is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ProcessState

from aiida_traincraft.data.structure import TrainingStructureData
from aiida_traincraft.science.config.quantumespresso import QuantumEspressoLabelling
from aiida_traincraft.science.quantumespresso import Refusal
from aiida_traincraft.workchains.pw_outcome import run_refusal

SECTION = QuantumEspressoLabelling(pseudo_family='any')
STOP = f' {"%" * 78}\n     Error in routine readpp (2):\n     file is empty\n {"%" * 78}\n\n     stopping ...\n'


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
            job.store()
            if files is not None:
                retrieved = orm.FolderData()
                for name, content in files.items():
                    retrieved.base.repository.put_object_from_bytes(content.encode(), name)
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
        (410, {'aiida.out': 'the last line\n\n'}, 'SCF not converged', 'the last line'),
        (400, {'aiida.out': '     Maximum CPU time exceeded\n'}, 'walltime', 'Maximum CPU time exceeded'),
        (120, {}, 'walltime', 'ERROR_SCHEDULER_OUT_OF_WALLTIME'),
        (110, {}, 'out of memory', 'ERROR_SCHEDULER_OUT_OF_MEMORY'),
        (140, {}, 'scheduler failure', 'ERROR_SCHEDULER_NODE_FAILURE'),
        (100, None, 'scheduler failure', 'ERROR_NO_RETRIEVED_FOLDER'),
        (302, {}, 'scheduler failure', 'ERROR_OUTPUT_STDOUT_MISSING'),
        (305, {'aiida.out': STOP}, 'pw.x stopped', 'Error in routine readpp (2): file is empty'),
        (305, {'CRASH': STOP, 'aiida.out': 'nothing\n'}, 'pw.x stopped', 'Error in routine readpp (2): file is empty'),
        (531, {}, 'odd number of electrons with fixed occupations', 'ERROR_CHARGE_IS_WRONG'),
        (999, {}, 'pw.x stopped', 'exit status 999: None'),
    ],
)
def test_the_last_run_says_why(make_run, exit_status, files, reason, detail):
    run = make_run((410, {'aiida.out': 'of an earlier run\n'}), (exit_status, files), exit_status=401)
    assert judge(run) == Refusal(reason, detail)


@pytest.mark.parametrize('state', [ProcessState.KILLED, ProcessState.EXCEPTED])
def test_a_job_that_the_engine_lost(make_run, state):
    assert judge(make_run((state, None))) == Refusal('scheduler failure', f'the job is {state.value}')


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
