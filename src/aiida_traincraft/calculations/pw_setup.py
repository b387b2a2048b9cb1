"""From the section ``[labelling]`` to pw.x: pseudopotentials, keywords, level of theory, and checks before it all."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida_pseudo.data.pseudo import UpfData
from aiida_pseudo.groups.family import PseudoPotentialFamily
from aiida_pseudo.groups.mixins import RecommendedCutoffMixin
from aiida_quantumespresso.common.types import ElectronicType
from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain

from aiida_traincraft.science.atoms.distances import minimum_distance
from aiida_traincraft.science.config.labelling.quantumespresso import QuantumEspressoLabelling
from aiida_traincraft.science.labelling.quantumespresso import Refusal, too_close, upf_functional
from aiida_traincraft.science.structure import Structure

ATOM_SMEARING = {'smearing': 'gaussian', 'degauss': 0.002}
"""Of isolated atoms (degauss in Ry)."""
# Keywords that change how a calculation gets to its result, not the result.
NUMERICS = {
    'CONTROL': {'verbosity', 'disk_io', 'wf_collect', 'etot_conv_thr', 'forc_conv_thr', 'title'},
    'ELECTRONS': {'electron_maxstep', 'mixing_beta', 'mixing_mode', 'mixing_ndim', 'startingpot', 'startingwfc'}
    | {'diagonalization', 'diago_thr_init', 'diago_cg_maxiter', 'diago_david_ndim', 'diago_full_acc'},
    'SYSTEM': {'nosym', 'noinv', 'use_all_frac', 'nosym_evc'},
}


def find_family(label: str) -> PseudoPotentialFamily:
    """Installed family of pseudopotentials.

    Raises
    ------
    ValueError
        If there is none of that name, or several; names those that are installed.
    """
    query = orm.QueryBuilder().append(PseudoPotentialFamily, filters={'label': label})
    found: list[PseudoPotentialFamily] = query.all(flat=True)
    if len(found) == 1:
        return found[0]
    labels = sorted(orm.QueryBuilder().append(PseudoPotentialFamily, project='label').all(flat=True))
    if found:
        raise ValueError(f'{len(found)} families of pseudopotentials are called {label!r}: relabel all but one')
    raise ValueError(
        f'there is no family of pseudopotentials {label!r} (installed: {", ".join(labels) or "none"}); '
        f'install one with "traincraft pseudos install FOLDER --family {label}"'
    )


def find_pseudos(family: PseudoPotentialFamily, elements: Collection[str]) -> dict[str, UpfData]:
    """Pseudopotentials of a family by element.

    Raises
    ------
    ValueError
        If the family lacks an element, or has a file of another element in its place.
    """
    missing = sorted(set(elements) - set(family.elements))
    if missing:
        raise ValueError(
            f'the family {family.label!r} has no pseudopotential for {", ".join(missing)} '
            f'(it has {", ".join(sorted(family.elements))})'
        )
    pseudos = {element: family.get_pseudo(element) for element in sorted(elements)}
    for element, pseudo in pseudos.items():
        if pseudo.element != element:
            raise ValueError(f'{pseudo.filename} is a pseudopotential of {pseudo.element}, not of {element}')
    return pseudos


def resolve(section: QuantumEspressoLabelling, elements: Collection[str]) -> QuantumEspressoLabelling:
    """Fill in what protocol and family decide, so that one set of numbers holds for every structure.

    Parameters
    ----------
    section
        The section as given; what it sets stays as it is.
    elements
        Elements of the whole campaign: the largest of their recommended cutoffs is taken.

    Raises
    ------
    ValueError
        If the family is not there, or recommends no cutoffs and the section has none.
    """
    family = find_family(section.pseudo_family)
    protocol = PwBaseWorkChain.get_protocol_inputs(section.protocol)
    filled: dict[str, Any] = {
        'kpoints_distance': protocol['kpoints_distance'],
        'conv_thr_per_atom': protocol['meta_parameters']['conv_thr_per_atom'],
    }
    if section.smearing != 'none':
        filled['degauss'] = protocol['pw']['parameters']['SYSTEM']['degauss']
    if section.ecutwfc is None:
        advice = 'set "ecutwfc" and "ecutrho" (Ry), converged for the stress'
        if not isinstance(family, RecommendedCutoffMixin):
            raise ValueError(f'the family {family.label!r} recommends no cutoffs: {advice}')
        try:
            filled['ecutwfc'], filled['ecutrho'] = family.get_recommended_cutoffs(
                elements=tuple(sorted(elements)), unit='Ry'
            )
        except ValueError as error:
            raise ValueError(f'the family {family.label!r} recommends no cutoffs ({error}): {advice}') from error
    given = section.model_dump(mode='json')
    return QuantumEspressoLabelling.model_validate(
        given | {key: value for key, value in filled.items() if given[key] is None}
    )


def per_atom_thresholds(section: QuantumEspressoLabelling) -> dict[str, float]:
    """Thresholds per atom (Ry) of a resolved section."""
    protocol = PwBaseWorkChain.get_protocol_inputs(section.protocol)
    return {
        'conv_thr': float(section.conv_thr_per_atom or 0.0),
        'etot_conv_thr': float(protocol['meta_parameters']['etot_conv_thr_per_atom']),
    }


def common_parameters(section: QuantumEspressoLabelling, pseudos: Mapping[str, UpfData]) -> dict[str, dict[str, Any]]:
    """Namelists that all structures of a resolved section share."""
    protocol = PwBaseWorkChain.get_protocol_inputs(section.protocol)['pw']['parameters']
    system: dict[str, Any] = {
        'ecutwfc': section.ecutwfc,
        'ecutrho': section.ecutrho,
        # Slabs and molecules are calculated as what their cells say: periodic, with the vacuum that they bring.
        'assume_isolated': 'none',
        'nosym': protocol['SYSTEM']['nosym'],
        **_occupations(section),
    }
    if section.spin == 'collinear':
        system |= {
            'nspin': 2,
            'starting_magnetization': {
                element: section.magnetic_moments.get(element, 0.0) / pseudo.z_valence
                for element, pseudo in pseudos.items()
            },
        }
    common = {
        'CONTROL': dict(protocol['CONTROL']),
        'SYSTEM': system,
        'ELECTRONS': dict(protocol['ELECTRONS']),
    }
    for namelist, keywords in section.parameters.items():
        common[namelist] |= keywords
    return common


def level_content(section: QuantumEspressoLabelling, version: str) -> dict[str, Any]:
    """What defines the level of theory of a resolved section: all that changes a label, nothing that does not.

    The pseudopotentials are those of the whole family, so that labels of different elements are of one level.
    """
    family = find_family(section.pseudo_family)
    keywords: dict[str, dict[str, Any]] = {}
    for namelist, given in section.parameters.items():
        physical = {key: value for key, value in given.items() if key not in NUMERICS[namelist]}
        if physical:
            keywords[namelist] = physical
    return {
        'type': section.type,
        'code': f'pw.x {version}',
        'pseudopotentials': {pseudo.element: pseudo.md5 for pseudo in family.nodes},
        'functional': sorted({_functional(pseudo) for pseudo in family.nodes}),
        'ecutwfc_ry': section.ecutwfc,
        'ecutrho_ry': section.ecutrho,
        'kpoints_distance_per_angstrom': section.kpoints_distance,
        'conv_thr_per_atom_ry': section.conv_thr_per_atom,
        **_occupations(section),
        'spin': section.spin,
        'magnetic_moments': section.magnetic_moments,
        'parameters': keywords,
        'isolated_atoms': {'box_angstrom': section.atom_box, 'spin': "Hund's rules", **ATOM_SMEARING},
    }


def unfit(structure: Structure, section: QuantumEspressoLabelling) -> Refusal | None:
    """Why pw.x cannot label a structure at all, None if it can."""
    if is_atom(structure):
        return None
    atoms = structure.atoms
    if atoms.cell.rank < 3:
        return Refusal('no cell', 'pw.x needs three cell vectors: give molecules and slabs a box with vacuum')
    if atoms.pbc.sum() == 2 and atoms.pbc[2]:
        return Refusal('unsupported periodicity', 'a slab must be periodic along the first two cell vectors: rotate it')
    if np.any(atoms.get_initial_magnetic_moments()):
        return Refusal('moments of a structure', 'moments come by element from labelling.magnetic_moments: remove them')
    return too_close(minimum_distance(atoms), section.min_distance)


def is_atom(structure: Structure) -> bool:
    """Whether a structure is an isolated atom, which gets a box of its own."""
    return len(structure) == 1 and not structure.atoms.pbc.any()


def _functional(pseudo: UpfData) -> str:
    try:
        return upf_functional(pseudo.get_content())
    except ValueError:
        # Of an element that nobody uses, perhaps; those of the campaign are checked.
        return 'unknown'


def _occupations(section: QuantumEspressoLabelling) -> dict[str, Any]:
    if section.smearing == 'none':
        return {'occupations': 'fixed'}
    return {'occupations': 'smearing', 'smearing': section.smearing, 'degauss': section.degauss}


def pw_base_inputs(
    section: QuantumEspressoLabelling,
    code: orm.AbstractCode,
    structure: orm.StructureData,
    options: dict[str, Any],
    parameters: dict[str, dict[str, Any]],
    kpoints: orm.KpointsData | None = None,
) -> dict[str, Any]:
    """Inputs of a PwBaseWorkChain for one structure of a resolved section.

    Parameters
    ----------
    section
        The resolved section.
    code, structure
        pw.x and what it calculates.
    options
        Options of the job.
    parameters
        Namelists; they override the protocol's.
    kpoints
        Explicit mesh; without it, one of the section's distance.
    """
    overrides: dict[str, Any] = {
        'pseudo_family': section.pseudo_family,
        'kpoints_distance': section.kpoints_distance,
        'max_iterations': section.max_iterations,
        'clean_workdir': True,
        'pw': {'parameters': parameters},
    }
    if kpoints is not None:
        overrides |= {'kpoints': kpoints}
        overrides['pw']['settings'] = {'gamma_only': True}
    if section.parallelization:
        overrides['pw']['parallelization'] = dict(section.parallelization)
    fixed = parameters['SYSTEM']['occupations'] == 'fixed'
    builder = PwBaseWorkChain.get_builder_from_protocol(
        code,
        structure,
        protocol=section.protocol,
        overrides=overrides,
        electronic_type=ElectronicType.INSULATOR if fixed else ElectronicType.METAL,
        options=with_mpi(options),
    )
    inputs: dict[str, Any] = builder._inputs(prune=True)
    return inputs


def with_mpi(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a job of pw.x, which takes an MPI launcher only for more than one process."""
    resources = options['resources']
    return {**options, 'withmpi': resources['num_machines'] * resources['num_mpiprocs_per_machine'] > 1}
