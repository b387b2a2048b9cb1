"""What a PwBaseWorkChain that ended is worth."""

from __future__ import annotations

from aiida import orm

from aiida_traincraft.calculations.pw_inputs import n_electrons
from aiida_traincraft.science.config.quantumespresso import QuantumEspressoLabelling
from aiida_traincraft.science.quantumespresso import Limits, Refusal, failure, refusal


def run_refusal(
    section: QuantumEspressoLabelling, run: orm.WorkChainNode, version: str, periodic: bool
) -> tuple[Refusal | None, list[orm.CalcJobNode]]:
    """Why a PwBaseWorkChain that ended gives no label, None if it does; and its runs of pw.x, in order.

    Parameters
    ----------
    section
        The resolved section.
    run
        The WorkChain.
    version
        Version of pw.x that the level of theory names.
    periodic
        Whether a stress is expected.
    """
    jobs = sorted((job for job in run.called if isinstance(job, orm.CalcJobNode)), key=lambda job: int(job.pk))
    if not run.is_finished_ok:
        return _failure(run, jobs), jobs
    structure, outputs = run.inputs.pw.structure, run.outputs
    trajectory = outputs.output_trajectory if 'output_trajectory' in outputs else None
    arrays = (
        {}
        if trajectory is None
        else {
            name: trajectory.get_array(name)[-1] for name in trajectory.get_arraynames() if name in ('forces', 'stress')
        }
    )
    bands = outputs.output_band.get_bands(also_occupations=True) if 'output_band' in outputs else None
    limits = Limits(
        conv_thr=float(jobs[-1].inputs.parameters['ELECTRONS']['conv_thr']),
        n_electrons=n_electrons(structure, run.inputs.pw.pseudos),
        max_force=section.max_force,
        max_pressure=section.max_pressure,
        version=version,
        periodic=periodic,
    )
    wrong = [
        kind for kind, pseudo in run.inputs.pw.pseudos.items() if pseudo.element != structure.get_kind(kind).symbol
    ]
    if wrong:
        return Refusal('wrong pseudopotential', f'that of {", ".join(wrong)} is of another element'), jobs
    refused = refusal(outputs.output_parameters.get_dict(), arrays.get('forces'), arrays.get('stress'), bands, limits)
    return refused, jobs


def _failure(run: orm.WorkChainNode, jobs: list[orm.CalcJobNode]) -> Refusal:
    if not jobs:
        return Refusal('pw.x was not started', run.exit_message or run.exception or str(run.process_state.value))
    last = jobs[-1]
    if not last.is_finished:
        return Refusal('scheduler failure', last.exception or f'the job is {last.process_state.value}')
    files = {name: '' for name in ('CRASH', 'aiida.out')}
    if 'retrieved' in last.outputs:
        present = last.outputs.retrieved.base.repository.list_object_names()
        files |= {
            name: last.outputs.retrieved.base.repository.get_object_content(name) for name in files if name in present
        }
    return failure(_exit_label(last), files['CRASH'], files['aiida.out'])


def _exit_label(job: orm.CalcJobNode) -> str:
    codes = job.process_class.exit_codes
    labels = [label for label in codes if codes[label].status == job.exit_status]
    return labels[0] if labels else f'exit status {job.exit_status}: {job.exit_message}'
