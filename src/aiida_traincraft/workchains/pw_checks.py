"""What would make every label fail, found out before anything is stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aiida import orm
from aiida.common.log import override_log_level
from aiida_pseudo.data.pseudo import UpfData

from aiida_traincraft.science.config.base import ConfigIssue
from aiida_traincraft.science.config.quantumespresso import QuantumEspressoLabelling
from aiida_traincraft.science.quantumespresso import upf_functional
from aiida_traincraft.workchains.pw_setup import find_family, find_pseudos, resolve


def check_labelling(
    section: QuantumEspressoLabelling, elements: Collection[str], pw: orm.AbstractCode | None
) -> list[ConfigIssue]:
    """Find out before anything is stored what would make every label fail."""
    issues = []
    pseudos: dict[str, UpfData] = {}
    try:
        pseudos = find_pseudos(find_family(section.pseudo_family), elements)
    except ValueError as error:
        issues.append(ConfigIssue('labelling.pseudo_family', str(error)))
    else:
        issues += _check_functional(section, pseudos)
        try:
            resolve(section, elements)
        except ValueError as error:
            issues.append(ConfigIssue('labelling.ecutwfc', str(error)))
    for element, moment in section.magnetic_moments.items():
        where = f'labelling.magnetic_moments.{element}'
        if element not in elements:
            issues.append(ConfigIssue(where, f'no system has {element}'))
        elif element in pseudos and abs(moment) > pseudos[element].z_valence:
            issues.append(ConfigIssue(where, f'{moment:g} is more than its {pseudos[element].z_valence} electrons'))
    if pw is not None:
        issues += _check_code(pw)
        if section.batch_size > 1 and isinstance(pw, orm.ContainerizedCode):
            issues.append(ConfigIssue('labelling.batch_size', f'{pw.full_label} runs in a container: set it to 1'))
    return issues


def _check_functional(section: QuantumEspressoLabelling, pseudos: Mapping[str, UpfData]) -> list[ConfigIssue]:
    made_with = {}
    for element, pseudo in pseudos.items():
        try:
            made_with[element] = upf_functional(pseudo.get_content())
        except ValueError as error:
            return [ConfigIssue('labelling.pseudo_family', f'{pseudo.filename}: {error}')]
    told = ', '.join(f'{element}: {name}' for element, name in made_with.items())
    if len(set(made_with.values())) > 1:
        return [ConfigIssue('labelling.pseudo_family', f'the pseudopotentials are of different functionals ({told})')]
    if section.functional is not None and set(made_with.values()) - {section.functional.upper()}:
        return [
            ConfigIssue(
                'labelling.functional',
                f'{section.functional!r} was asked for, but the pseudopotentials of {section.pseudo_family!r} were '
                f'made with another one ({told})',
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
