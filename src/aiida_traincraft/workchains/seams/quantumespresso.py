"""What labels by pw.x are asked before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common.log import override_log_level
from aiida_pseudo.data.pseudo import UpfData

from aiida_traincraft.calculations.pw_setup import find_family, find_pseudos, level_content, resolve, unfit
from aiida_traincraft.calculations.pw_version import newest_version
from aiida_traincraft.science.atoms.moments import ground_moment
from aiida_traincraft.science.config.labelling.quantumespresso import QuantumEspressoLabelling
from aiida_traincraft.science.errors import ConfigIssue
from aiida_traincraft.science.labelling.quantumespresso import upf_functional
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.workchains.seams.base import Completed
from aiida_traincraft.workchains.seams.labeller import Labeller


class QuantumEspressoLabeller(Labeller[QuantumEspressoLabelling]):
    """Hooks of labels by pw.x."""

    def check_geometry(self, structure: Structure) -> str | None:
        """Ask for what pw.x needs: a cell, and atoms that do not overlap."""
        refused = unfit(structure, self.section)
        return None if refused is None else f'{refused.reason}: {refused.detail}'

    def complete(self, elements: frozenset[str], folder: Path) -> Completed:
        """Fill in what protocol and family decide."""
        return Completed(resolve(self.section, elements).model_dump(mode='json'))

    def level_of_theory(self, inputs: Mapping[str, Any], elements: frozenset[str]) -> dict[str, Any]:
        """Tell the whole level, if pw.x was ever asked for its version."""
        version = newest_version(inputs['codes']['pw'])
        known = 'of a version that "traincraft doctor" finds out' if version is None else version.value
        return level_content(resolve(self.section, elements), known)

    def check_elements(self, elements: frozenset[str], codes: Mapping[str, orm.AbstractCode]) -> list[ConfigIssue]:
        """Check pseudopotentials, functional, cutoffs and code."""
        issues, pw = list[ConfigIssue](), codes.get('pw')
        pseudos: dict[str, UpfData] = {}
        try:
            pseudos = find_pseudos(find_family(self.section.pseudo_family), elements)
        except ValueError as error:
            issues.append(self.issue('pseudo_family', str(error)))
        else:
            issues += self._check_functional(pseudos)
            try:
                resolve(self.section, elements)
            except ValueError as error:
                issues.append(self.issue('ecutwfc', str(error)))
        for element in sorted(elements):
            try:
                ground_moment(element)
            except ValueError as error:
                issues.append(self.issue('pseudo_family', str(error)))
        for element, moment in self.section.magnetic_moments.items():
            where = f'magnetic_moments.{element}'
            if element not in elements:
                issues.append(self.issue(where, f'no system has {element}'))
            elif element in pseudos and abs(moment) > pseudos[element].z_valence:
                issues.append(self.issue(where, f'{moment:g} is more than its {pseudos[element].z_valence} electrons'))
        if pw is not None:
            issues += _check_code(pw)
            if self.section.batch_size > 1 and isinstance(pw, orm.ContainerizedCode):
                issues.append(self.issue('batch_size', f'{pw.full_label} runs in a container: set it to 1'))
        return issues

    def _check_functional(self, pseudos: Mapping[str, UpfData]) -> list[ConfigIssue]:
        made_with = {}
        for element, pseudo in pseudos.items():
            try:
                made_with[element] = upf_functional(pseudo.get_content())
            except ValueError as error:
                return [self.issue('pseudo_family', f'{pseudo.filename}: {error}')]
        told = ', '.join(f'{element}: {name}' for element, name in made_with.items())
        if len(set(made_with.values())) > 1:
            return [self.issue('pseudo_family', f'the pseudopotentials are of different functionals ({told})')]
        if self.section.functional is not None and set(made_with.values()) - {self.section.functional.upper()}:
            return [
                self.issue(
                    'functional',
                    f'{self.section.functional!r} was asked for, but the pseudopotentials of '
                    f'{self.section.pseudo_family!r} were made with another one ({told})',
                )
            ]
        return []


def _check_code(code: orm.AbstractCode) -> list[ConfigIssue]:
    """Whether the code is one of pw.x and can be reached."""
    path = 'codes.pw.code'
    plugin = code.default_calc_job_plugin
    if plugin not in (None, 'quantumespresso.pw'):
        return [ConfigIssue(path, f'{code.full_label} is a code of {plugin!r}, not of pw.x')]
    if not isinstance(code, orm.InstalledCode):
        return [ConfigIssue(path, f'{code.full_label} cannot be used: pw.x must be an installed or containerized code')]
    computer = code.computer
    if not computer.is_configured:
        return [
            ConfigIssue(
                path,
                f'computer {computer.label!r} is not configured: '
                f'verdi computer configure {computer.transport_type} {computer.label}',
            )
        ]
    try:
        if isinstance(code, orm.ContainerizedCode):
            # Its path is one inside the container: all that can be seen is whether the computer answers.
            with override_log_level(), computer.get_transport():
                return []
        code.validate_filepath_executable()
    except Exception as error:
        # Every transport has exceptions of its own.
        cause = f' ({type(error.__cause__).__name__}: {error.__cause__})' if error.__cause__ else ''
        return [ConfigIssue(path, f'{code.full_label} cannot be used: {error}{cause}')]
    return []
