"""What all CalcJobs of this package share: the worker, its task file, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob

from aiida_traincraft.calculations.science_zip import science_zip
from aiida_traincraft.data.locks import wait_for_writers
from aiida_traincraft.science.worker.main import RESULT_FILE, TASK_FILE

ZIP_FILE = 'traincraft.zip'
STDOUT, STDERR = 'traincraft.out', 'traincraft.err'
WORSE_THAN_CONSTANT = 330
"""Exit status of a fit, and of the WorkChains above it, whose potential is kept but poor."""


def is_poor(process: orm.ProcessNode) -> bool:
    """Whether a training kept its potential although a constant is better; other processes may use its status."""
    return process.exit_status == WORSE_THAN_CONSTANT and 'potential' in process.outputs


class WorkerCalculation(CalcJob):
    """Run one task of the science floor with the Python interpreter given as code."""

    TASK: ClassVar[str]
    RETRIEVE: ClassVar[Sequence[str]] = ()
    """Small files that the retrieved folder keeps."""
    RETRIEVE_TEMPORARY: ClassVar[Sequence[str]] = ()
    """Files that become nodes of their own."""
    SENT_AGAIN: ClassVar[bool] = True
    """Whether a job that died is sent again as it was; False where a WorkChain goes on from what it left."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, options and exit codes."""
        super().define(spec)
        spec.input('parameters', valid_type=orm.Dict, help='Parameters of the task; see its module for keys and units.')
        spec.input_namespace(
            'plugins', valid_type=orm.SinglefileData, dynamic=True, help='Python files with further plugins.'
        )
        options = spec.inputs['metadata']['options']
        options['parser_name'].default = f'traincraft.{cls.TASK}'
        options['output_filename'].default = STDOUT
        options['resources'].default = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['withmpi'].default = False
        spec.output('summary', valid_type=orm.Dict, required=False, help='What the task reported, with versions.')
        spec.exit_code(300, 'ERROR_NO_RESULT', message='The job was killed or ran out of memory: {reason}')
        spec.exit_code(301, 'ERROR_MISSING_PACKAGE', message='A package is missing on the compute node: {reason}')
        spec.exit_code(302, 'ERROR_BAD_INPUT', message='The task refused its input: {reason}')
        spec.exit_code(303, 'ERROR_UNREADABLE_OUTPUT', message='The output cannot be used: {reason}')
        spec.exit_code(310, 'ERROR_NOTHING_PRODUCED', message='The task ended without its product: {reason}')
        spec.exit_code(311, 'ERROR_NOT_FINITE', message='The result holds NaN or infinite numbers: {reason}')
        spec.exit_code(400, 'ERROR_OUT_OF_WALLTIME', message='The wall-clock limit was reached: {reason}')

    def init(self) -> None:
        """Begin, or go on in another worker."""
        super().init()
        wait_for_writers()

    def write_inputs(self, folder: Path) -> dict[str, Any]:
        """Write the task's own input files; return parameters that come from nodes."""
        raise NotImplementedError

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write worker, task file and inputs."""
        root = Path(folder.abspath)
        parameters = self.inputs.parameters.get_dict() | self.write_inputs(root)
        big = [str(path.relative_to(root)) for path in root.rglob('*') if path.is_file()]
        plugins = []
        for name, node in sorted(self.inputs.get('plugins', {}).items()):
            plugins.append(f'plugin_{name}.py')
            (root / plugins[-1]).write_bytes(node.get_content(mode='rb'))
        parameters |= {'products': list(self.RETRIEVE_TEMPORARY)}
        parameters |= {'plugins': plugins, 'max_seconds': self.inputs.metadata.options.get('max_wallclock_seconds')}
        (root / ZIP_FILE).write_bytes(science_zip())
        (root / TASK_FILE).write_text(
            json.dumps({'task': self.TASK, 'parameters': parameters}, indent=2), encoding='utf-8'
        )

        code_info = CodeInfo()
        code_info.code_uuid = self.inputs.code.uuid
        code_info.cmdline_params = [ZIP_FILE]
        code_info.stdout_name, code_info.stderr_name = STDOUT, STDERR
        info = CalcInfo()
        info.codes_info = [code_info]
        info.retrieve_list = [RESULT_FILE, STDOUT, STDERR, *self.RETRIEVE]
        info.retrieve_temporary_list = list(self.RETRIEVE_TEMPORARY)
        # These can be made again from the input nodes.
        info.provenance_exclude_list = big
        return info
