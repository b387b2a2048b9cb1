"""Which version of pw.x a code is."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob

INPUT, OUTPUT = 'empty.in', 'aiida.out'


class PwVersionCalculation(CalcJob):
    """Start pw.x with an empty input: it prints its version before it stops.

    The level of theory names the version, and has to be known before the first label: it decides which labels exist
    already.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        options = spec.inputs['metadata']['options']
        options['parser_name'].default = 'traincraft.pw_version'
        options['output_filename'].default = OUTPUT
        options['resources'].default = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['max_wallclock_seconds'].default = 120
        spec.output('version', valid_type=orm.Str, help='Version of pw.x, such as "7.2".')
        spec.exit_code(300, 'ERROR_NO_RESULT', message='pw.x did not start: {reason}')

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the empty input."""
        with folder.open(INPUT, 'w'):
            pass
        code_info = CodeInfo()
        code_info.code_uuid = self.inputs.code.uuid
        code_info.cmdline_params = ['-in', INPUT]
        code_info.stdout_name = OUTPUT
        # What pw.x calls an error of the input is part of the plan.
        code_info.join_files = True
        info = CalcInfo()
        info.codes_info = [code_info]
        info.retrieve_list = [OUTPUT]
        return info


def newest_version(code: orm.AbstractCode) -> orm.Str | None:
    """Version of pw.x that a code had when it was asked last."""
    query = orm.QueryBuilder().append(orm.AbstractCode, filters={'uuid': code.uuid}, tag='code', project=[])
    query.append(PwVersionCalculation, with_incoming='code', filters={'attributes.exit_status': 0}, tag='job')
    query.append(orm.Str, with_incoming='job', edge_filters={'label': 'version'}, tag='version', project='*')
    query.order_by({'job': {'id': 'desc'}}).limit(1)
    found: orm.Str | None = query.first(flat=True)
    return found
