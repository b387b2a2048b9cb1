"""Parser of ``traincraft.pw_batch``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser
from aiida_quantumespresso.parsers.parse_raw.pw import parse_stdout
from aiida_quantumespresso.parsers.parse_xml.parse import parse_xml
from aiida_quantumespresso.parsers.pw import PwParser

from aiida_traincraft.calculations.pw_batch import (
    CRASH_FILE,
    STATUS_FILE,
    STDERR_FILE,
    STDOUT_FILE,
    XML_FILE,
    structure_folder,
)
from aiida_traincraft.calculations.pw_inputs import kpoints_mesh, n_electrons
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.science.labelling.quantumespresso import (
    REASONS,
    Limits,
    Refusal,
    error_message,
    failure,
    label_properties,
    refusal,
    scf_iterations,
)
from aiida_traincraft.science.structure import Structure

NOT_FINISHED = 'not finished'
TIMED_OUT, KILLED = 124, 137
"""Exit status of ``timeout`` when its command ended in time to be told, and of a command that had to be killed."""


@dataclass
class Run:
    """What pw.x left behind for one structure; files that are not there are None."""

    status: str | None
    stdout: str | None
    stderr: str | None
    crash: str | None
    xml: Path

    @property
    def exit_status(self) -> int:
        """Exit status of pw.x, or of the ``timeout`` that ended it."""
        return int(str(self.status).split()[0])

    @property
    def seconds(self) -> float:
        """Wall seconds that the script counted."""
        return float(str(self.status).split()[1])

    @property
    def last_words(self) -> str:
        """What is known of its end."""
        return error_message(self.crash or '', self.stdout or '', self.stderr or '') or 'no error message'


@dataclass
class Numbers:
    """What a run of pw.x computed, as PwParser would give it."""

    parameters: dict[str, Any] = field(default_factory=dict)
    forces: Any = None
    stress: Any = None
    bands: tuple[Any, Any] | None = None


class PwBatchParser(Parser):
    """Judge every structure on its own; the good ones become frames."""

    def parse(self, **kwargs: Any) -> ExitCode:
        """Make frames and report from what was retrieved."""
        plan = self.node.inputs.plan.get_dict()
        folder = Path(kwargs['retrieved_temporary_folder'])
        rows: list[dict[str, Any]] = []
        frames: list[Structure] = []
        versions: dict[str, str] = {}
        uuids = self.node.inputs.structures.uuids
        runs = [self._run(index, folder) for index in range(len(uuids))]
        for index, (uuid, run) in enumerate(zip(uuids, runs, strict=True)):
            structure = orm.load_node(uuid)
            kpoints, _ = kpoints_mesh(structure, plan['kpoints_distance']).get_kpoints_mesh()
            numbers, refused = self._judge(run, structure, plan)
            seconds = numbers.parameters.get('wall_time_seconds')
            if seconds is None and run.status is not None:
                seconds = run.seconds
            if (version := numbers.parameters.get('creator_version')) is not None:
                versions['pw.x'] = version
            rows.append(
                {
                    'index': index,
                    'status': 'ok' if refused is None else 'failed',
                    'reason': refused and refused.reason,
                    'detail': refused and refused.detail,
                    'kpoints': list(kpoints),
                    'seconds': seconds,
                }
            )
            if refused is None:
                facts = {'index': index, 'kpoints': list(kpoints)} | {
                    key: numbers.parameters.get(key) for key in ('scf_iterations', 'total_magnetization')
                }
                known: Structure = structure.get_structure()
                properties = label_properties(numbers.parameters, numbers.forces, numbers.stress, periodic=True)
                frames.append(Structure(known.atoms, properties, {**known.provenance, **facts}))
        if frames:
            self.out('frames', FramesData(frames))
        total = sum(row['seconds'] or 0.0 for row in rows)
        self.out('report', orm.Dict({'rows': rows, 'seconds': total, 'versions': versions}))
        if all(run.stdout is None and run.status is None for run in runs):
            return self.exit_codes.ERROR_NO_RESULT
        unfinished = sum(row['reason'] == NOT_FINISHED for row in rows)
        if unfinished:
            return self.exit_codes.ERROR_OUT_OF_WALLTIME.format(
                reason=f'{unfinished} of {len(rows)} structures are not finished'
            )
        # Not None, which would let the scheduler's verdict on a single killed structure stand for the whole batch.
        return ExitCode(0)

    def _run(self, index: int, folder: Path) -> Run:
        name = structure_folder(index)
        status = folder / name / STATUS_FILE
        written = status.read_text(encoding='utf-8').strip() if status.exists() else ''
        return Run(
            status=written or None,
            stdout=self._text(f'{name}/{STDOUT_FILE}'),
            stderr=self._text(f'{name}/{STDERR_FILE}'),
            crash=self._text(f'{name}/{CRASH_FILE}'),
            xml=folder / name / XML_FILE,
        )

    def _text(self, path: str) -> str | None:
        try:
            # Fortran may leave any byte behind in a file that it was killed over.
            content: bytes = self.retrieved.base.repository.get_object_content(path, mode='rb')
        except (FileNotFoundError, NotADirectoryError):
            return None
        return content.decode(errors='replace')

    def _judge(self, run: Run, structure: orm.StructureData, plan: dict[str, Any]) -> tuple[Numbers, Refusal | None]:
        """Numbers of a run as far as they go, and why they are no label."""
        if run.status is None:
            detail = 'pw.x was never started' if run.stdout is None else 'the job ended before pw.x did'
            return Numbers(), Refusal(NOT_FINISHED, detail)
        numbers, errors, unreadable = self._parse_run(run)
        stopped = _stopped(run, errors, plan['max_seconds'])
        if stopped is not None:
            return numbers, stopped
        if unreadable is not None:
            return numbers, Refusal('pw.x stopped', unreadable)
        limits = Limits(
            conv_thr=len(structure.sites) * plan['conv_thr_per_atom'],
            n_electrons=n_electrons(structure, self.node.inputs.pseudos),
            max_force=plan['max_force'],
            max_pressure=plan['max_pressure'],
            version=plan['version'],
        )
        return numbers, refusal(numbers.parameters, numbers.forces, numbers.stress, numbers.bands, limits)

    def _parse_run(self, run: Run) -> tuple[Numbers, list[str], str | None]:
        """Numbers, errors that pw.x reports, and why numbers are missing; the steps are those of PwParser.parse."""
        printed: dict[str, Any] = {}
        errors: list[str] = []
        try:
            printed, logs = parse_stdout(run.stdout or '', self.node.inputs.parameters.get_dict(), crash_file=run.crash)
            errors = [error for error in logs['error'] if error.startswith('ERROR_')]
            with run.xml.open(encoding='utf-8') as handle:
                parameters, _ = parse_xml(handle)
        except FileNotFoundError:
            return Numbers(parameters=printed), errors, f'no XML file: {run.last_words}'
        except Exception as error:  # Anything may be wrong with a broken file, and it must not end the batch.
            return Numbers(parameters=printed), errors, f'{type(error).__name__}: {error}; {run.last_words}'
        bands, trajectory = parameters.pop('bands', None), parameters.pop('trajectory', {})
        PwParser.backwards_compatibility_parameters(parameters, printed)
        PwParser.final_trajectory_frame_to_parameters(parameters, trajectory)
        stress = trajectory.get('stress') or printed.get('trajectory', {}).get('stress')
        forces = trajectory.get('forces')
        return (
            Numbers(
                parameters,
                forces[-1] if forces else None,
                stress[-1] if stress else None,
                _bands(bands) if bands else None,
            ),
            errors,
            None,
        )


def _bands(bands: dict[str, Any]) -> tuple[Any, Any]:
    """Energies (eV) and occupations as PwParser gives them: of both spins together where there is no difference."""
    energies, occupations = np.array(bands['bands']), np.array(bands['occupations'])
    return energies, occupations * (2 if len(occupations) == 1 else 1)


def _stopped(run: Run, errors: list[str], max_seconds: float) -> Refusal | None:
    """Why pw.x, or its time limit, ended a run without a result."""
    # The kernel kills with the same signal when memory runs out, but earlier.
    killed_late = run.exit_status == KILLED and run.seconds >= max_seconds
    stdout = run.stdout or ''
    if 'ERROR_OUT_OF_WALLTIME' in errors or run.exit_status == TIMED_OUT or killed_late:
        return Refusal('walltime', f'limit {max_seconds:g} s reached, {scf_iterations(stdout)} SCF iterations begun')
    known = next((error for error in errors if error in REASONS), None)
    if known is not None:
        return failure(known, run.crash or '', stdout, run.stderr or '')
    if errors or 'JOB DONE' not in stdout:
        return Refusal('pw.x stopped', f'exit status {run.exit_status}; {run.last_words}')
    return None
