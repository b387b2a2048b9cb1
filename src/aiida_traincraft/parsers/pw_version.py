"""Parser of ``traincraft.pw_version``."""

from __future__ import annotations

import re
from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_traincraft.calculations.pw_version import OUTPUT
from aiida_traincraft.science.labelling.quantumespresso import error_message


class PwVersionParser(Parser):
    """Read the first line of pw.x."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Find ``Program PWSCF v.X starts``."""
        try:
            text = self.retrieved.base.repository.get_object_content(OUTPUT)
        except FileNotFoundError:
            text = ''
        found = re.search(r'Program PWSCF\s+v\.?\s*(\S+)', text)
        if found is None:
            stderr = self.node.get_scheduler_stderr() or ''
            reason = error_message('', f'{text}\n{stderr}') or 'it printed nothing'
            code: ExitCode = self.exit_codes.ERROR_NO_RESULT
            return code.format(reason=reason)
        self.out('version', orm.Str(found.group(1)))
        return None
