"""Labels of many small structures by pw.x in one job."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.escaping import escape_for_bash
from aiida.common.folders import Folder
from aiida.engine import CalcJob
from aiida_pseudo.data.pseudo import UpfData
from aiida_quantumespresso.calculations.pw import PwCalculation

from aiida_traincraft.calculations.pw_inputs import CLEAN_STOP, kpoints_mesh, structure_parameters
from aiida_traincraft.data.bulk import link_inputs
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.manifest import ManifestData

INPUT_FILE, STDOUT_FILE, STDERR_FILE, CRASH_FILE = 'aiida.in', 'aiida.out', 'aiida.err', 'CRASH'
XML_FILE = 'out/aiida.save/data-file-schema.xml'
STATUS_FILE = 'status'
"""Exit status of a structure's command and the seconds it took."""
FLAGS = ('npool', 'nband', 'ntg', 'ndiag')
SCRIPT_FILE = 'run_batch.sh'
SCRIPT = """\
#!/bin/bash
# run_batch.sh CONCURRENT MAX_SECONDS COMMAND...
# Run COMMAND in every folder structure_*, CONCURRENT at a time; one that fails or hangs never ends the others.
run_in() {
    cd "$1" || return 0
    ln -sfn ../pseudo pseudo
    mkdir -p out
    timeout -k 10 "$2" "${@:3}" > aiida.out 2> aiida.err < /dev/null
    echo "$? $SECONDS" > status
    [ -s aiida.err ] || rm -f aiida.err
    # Wave functions and densities are large, and nobody reads them.
    find out -type f ! -name data-file-schema.xml -delete
    return 0
}
export -f run_in
# Open MPI would bind the processes of every structure to the same first cores.
export OMPI_MCA_hwloc_base_binding_policy=none
concurrent=$1
shift
printf '%s\\0' structure_* | xargs -0 -P "$concurrent" -I '{}' bash -c 'run_in "$@"' run_in '{}' "$@"
"""
PLAN_NUMBERS = (
    'conv_thr_per_atom',
    'etot_conv_thr_per_atom',
    'kpoints_distance',
    'max_seconds',
    'max_force',
    'max_pressure',
)
PLAN_KEYS = {*PLAN_NUMBERS, 'concurrent', 'parallelization', 'version'}


def structure_folder(index: int) -> str:
    """Name of the folder of a structure, by its place in the manifest."""
    return f'structure_{index:06d}'


def render_input(
    structure: orm.StructureData,
    parameters: Mapping[str, Any],
    pseudos: Mapping[str, UpfData],
    kpoints: orm.KpointsData,
) -> tuple[str, list[tuple[str, str, str]]]:
    """Input file of pw.x as PwCalculation writes it, and the pseudopotential files it names (UUID, file, place)."""
    # Private in aiida-quantumespresso 5.1, called here only: labels must not depend on whether a job was shared.
    text, files = PwCalculation._generate_pwcp_inputdata(orm.Dict(dict(parameters)), {}, pseudos, structure, kpoints)
    return text, files


class PwBatchCalculation(CalcJob):
    """Run pw.x for every structure of a manifest, some side by side, each with its own time limit.

    A structure that fails is a row of the report with its reason, never the end of the batch.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.input('code', valid_type=orm.InstalledCode, help='pw.x.')
        spec.input('structures', valid_type=ManifestData, help='Structures to label, in order, all fully periodic.')
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            help='Namelists CONTROL, SYSTEM and ELECTRONS that all structures share, without what depends on a '
            'structure: conv_thr, etot_conv_thr, nbnd, max_seconds.',
        )
        spec.input(
            'plan',
            valid_type=orm.Dict,
            validator=_check_plan,
            help='What a structure is calculated with and judged by: conv_thr_per_atom and etot_conv_thr_per_atom '
            '(Ry), kpoints_distance (1/Å), concurrent (structures side by side), max_seconds (for one structure), '
            'parallelization (flags of pw.x), max_force (eV/Å), max_pressure (GPa), version (of pw.x).',
        )
        spec.input_namespace('pseudos', valid_type=UpfData, dynamic=True, help='Pseudopotentials by element.')
        options = spec.inputs['metadata']['options']
        options['parser_name'].default = 'traincraft.pw_batch'
        options['resources'].default = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        spec.output(
            'frames', valid_type=FramesData, required=False, help='The labelled structures, in the order given, if any.'
        )
        spec.output('report', valid_type=orm.Dict, help='What became of every structure, seconds and versions.')
        spec.exit_code(300, 'ERROR_NO_RESULT', message='Nothing came back: the job never ran or was killed at once.')
        spec.exit_code(400, 'ERROR_OUT_OF_WALLTIME', message='The job ended too early: {reason}')

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write one input file per structure and the script that runs them; link the structures to this process."""
        plan, uuids = self.inputs.plan.get_dict(), self.inputs.structures.uuids
        link_inputs(self.node, uuids, 'members')
        root = Path(folder.abspath)
        sources: dict[str, tuple[str, str]] = {}
        for index, uuid in enumerate(uuids):
            text, files = self._render(orm.load_node(uuid), plan)
            target = root / structure_folder(index)
            target.mkdir()
            (target / INPUT_FILE).write_text(text, encoding='utf-8')
            for source, name, place in files:
                if sources.setdefault(place, (source, name)) != (source, name):
                    raise ValueError(f'two pseudopotentials share the file name {name!r}: rename one of them')
        (root / SCRIPT_FILE).write_text(SCRIPT, encoding='utf-8')

        info = CalcInfo()
        # aiida-core would put the code's executable first; the script has to come before it.
        info.codes_info = []
        info.append_text = self._command_line(plan)
        info.local_copy_list = [(source, name, place) for place, (source, name) in sources.items()]
        info.retrieve_list = [(f'structure_*/{name}', '.', 2) for name in (STDOUT_FILE, STDERR_FILE, CRASH_FILE)]
        info.retrieve_temporary_list = [(f'structure_*/{XML_FILE}', '.', 4), (f'structure_*/{STATUS_FILE}', '.', 2)]
        return info

    def _render(self, structure: orm.StructureData, plan: dict[str, Any]) -> tuple[str, list[tuple[str, str, str]]]:
        pseudos = dict(self.inputs.pseudos)
        missing = sorted({site.kind_name for site in structure.sites} - pseudos.keys())
        if missing:
            raise ValueError(f'{structure}: no pseudopotential for {", ".join(missing)}')
        if not all(structure.pbc):
            raise ValueError(f'{structure}: only structures that are periodic in three directions go into a batch')
        parameters = structure_parameters(
            self.inputs.parameters.get_dict(),
            {'conv_thr': plan['conv_thr_per_atom'], 'etot_conv_thr': plan['etot_conv_thr_per_atom']},
            structure,
            pseudos,
        )
        parameters['CONTROL']['max_seconds'] = CLEAN_STOP * plan['max_seconds']
        return render_input(structure, parameters, pseudos, kpoints_mesh(structure, plan['kpoints_distance']))

    def _command_line(self, plan: dict[str, Any]) -> str:
        code, computer = self.inputs.code, self.node.computer
        flags = [word for flag in FLAGS if flag in plan['parallelization'] for word in _flag(flag, plan)]
        words = [SCRIPT_FILE, str(plan['concurrent']), str(plan['max_seconds']), *self._mpirun(plan['concurrent'])]
        command = code.get_executable_cmdline_params([*flags, '-in', INPUT_FILE])
        return ' '.join(
            ['bash', *(escape_for_bash(word, computer.get_use_double_quotes()) for word in words)]
            + [escape_for_bash(word, code.use_double_quotes) for word in command]
        )

    def _mpirun(self, concurrent: int) -> list[str]:
        """Words before pw.x when every structure gets more than one MPI process."""
        computer, options = self.node.computer, self.inputs.metadata.options
        scheduler, resources = computer.get_scheduler(), dict(options.resources)
        scheduler.preprocess_resources(resources, computer.get_default_mpiprocs_per_machine())
        resource = scheduler.create_job_resource(**resources)
        processes = resource.get_tot_num_mpiprocs() // concurrent
        if processes < 2 or self.inputs.code.with_mpi is False:
            return []
        per_machine = min(processes, resource.num_mpiprocs_per_machine)
        values = dict(resource) | {
            'tot_num_mpiprocs': processes,
            'num_mpiprocs_per_machine': per_machine,
            'num_machines': math.ceil(processes / per_machine),
        }
        arguments = [argument.format(**values) for argument in computer.get_mpirun_command()]
        return [*arguments, *options.get('mpirun_extra_params', [])]


def _flag(flag: str, plan: dict[str, Any]) -> tuple[str, str]:
    return f'-{flag}', str(plan['parallelization'][flag])


def _check_plan(node: orm.Dict, _: Any) -> str | None:
    plan = node.get_dict()
    if plan.keys() != PLAN_KEYS:
        missing, unknown = sorted(PLAN_KEYS - plan.keys()), sorted(plan.keys() - PLAN_KEYS)
        return f'missing keys: {missing or "none"}, unknown keys: {unknown or "none"}'
    for key in PLAN_NUMBERS:
        if not isinstance(plan[key], int | float) or not plan[key] > 0:
            return f'{key} must be a number above 0, not {plan[key]!r}'
    if not isinstance(plan['concurrent'], int) or plan['concurrent'] < 1:
        return f'concurrent must be a whole number above 0, not {plan["concurrent"]!r}'
    if not isinstance(plan['version'], str):
        return f'version must be text, not {plan["version"]!r}'
    flags = plan['parallelization']
    if not isinstance(flags, dict) or not flags.keys() <= set(FLAGS):
        return f'parallelization must hold some of the flags {", ".join(FLAGS)}, not {flags!r}'
    if not all(isinstance(value, int) and value > 0 for value in flags.values()):
        return f'the flags in parallelization must be whole numbers above 0, not {flags!r}'
    return None
