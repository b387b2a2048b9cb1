"""What a PwBaseWorkChain that ended is worth."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_traincraft.calculations.cores import job_cores
from aiida_traincraft.calculations.pw_inputs import n_electrons
from aiida_traincraft.science.config.labelling.quantumespresso import QuantumEspressoLabelling
from aiida_traincraft.science.labelling.quantumespresso import Limits, Refusal, failure, insufficient_bands, refusal


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
    refused = refusal(
        outputs.output_parameters.get_dict(), arrays.get('forces'), arrays.get('stress'), _bands(outputs), limits
    )
    return refused, jobs


def core_seconds(jobs: list[orm.CalcJobNode]) -> float:
    """Wall seconds times cores of runs of pw.x; those that do not tell, or come from the cache, count as nothing."""
    total = 0.0
    for job in jobs:
        if 'output_parameters' in job.outputs and not job.base.caching.is_created_from_cache:
            total += job_cores(job) * (job.outputs.output_parameters.get('wall_time_seconds', None) or 0.0)
    return total


def retrieved_text(job: orm.CalcJobNode, name: str | None) -> str:
    """Content of a file that came back, empty if it did not; whatever bytes a program that was killed left in it."""
    if name is None:
        return ''
    try:
        content = job.outputs.retrieved.base.repository.get_object_content(name, mode='rb')
    except (AttributeError, OSError):
        return ''
    return str(content.decode(errors='replace'))


def _failure(run: orm.WorkChainNode, jobs: list[orm.CalcJobNode]) -> Refusal:
    if not jobs:
        return Refusal('pw.x was not started', run.exit_message or _broken_off(run))
    last = jobs[-1]
    if not last.is_finished:
        return Refusal('broke off in AiiDA', _broken_off(last))
    if last.is_finished_ok:
        # A check of the WorkChain wanted more, until its runs were used up.
        told = run.exit_message or _broken_off(run)
        refused = insufficient_bands(last.outputs.output_parameters.get_dict(), _bands(last.outputs))
        if refused is not None:
            return Refusal(refused.reason, f'{refused.detail} after {len(jobs)} runs; {told}')
        return Refusal('broke off in AiiDA', told)
    crash, stdout = (retrieved_text(last, name) for name in ('CRASH', 'aiida.out'))
    return failure(_exit_label(last), crash, stdout, retrieved_text(last, last.get_option('scheduler_stderr')))


def _broken_off(node: orm.ProcessNode) -> str:
    lines = (node.exception or '').strip().splitlines()
    return lines[-1] if lines else f'the process is {node.process_state.value}'


def _bands(outputs: Any) -> tuple[Any, Any] | None:
    return outputs.output_band.get_bands(also_occupations=True) if 'output_band' in outputs else None


def _exit_label(job: orm.CalcJobNode) -> str:
    codes = job.process_class.exit_codes
    labels = [label for label in codes if codes[label].status == job.exit_status]
    return labels[0] if labels else f'exit status {job.exit_status}: {job.exit_message}'
