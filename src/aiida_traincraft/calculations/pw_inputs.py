"""Inputs of pw.x for one structure: the same whether it gets a job of its own or shares one."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida_pseudo.data.pseudo import UpfData
from aiida_quantumespresso.calculations.functions.create_kpoints_from_distance import create_kpoints_from_distance

SPARE_BANDS = 4
"""Least number of empty bands with fixed occupations: without one nobody sees whether there is a gap."""
CLEAN_STOP = 0.95
"""Part of its time limit (s) after which pw.x stops by itself, as in aiida-quantumespresso."""


def n_electrons(structure: orm.StructureData, pseudos: Mapping[str, UpfData]) -> float:
    """Valence electrons of a structure."""
    return float(sum(pseudos[site.kind_name].z_valence for site in structure.sites))


def structure_parameters(
    common: Mapping[str, Mapping[str, Any]],
    per_atom: Mapping[str, float],
    structure: orm.StructureData,
    pseudos: Mapping[str, UpfData],
) -> dict[str, dict[str, Any]]:
    """Namelists of pw.x for one structure.

    Parameters
    ----------
    common
        Keywords by namelist that all structures share; one that holds values by element may name more of them.
    per_atom
        ``conv_thr`` and ``etot_conv_thr`` per atom (Ry).
    structure
        The structure.
    pseudos
        Pseudopotentials by element.
    """
    parameters: dict[str, dict[str, Any]] = copy.deepcopy({name: dict(keys) for name, keys in common.items()})
    n_atoms = len(structure.sites)
    parameters.setdefault('ELECTRONS', {})['conv_thr'] = n_atoms * per_atom['conv_thr']
    parameters.setdefault('CONTROL', {})['etot_conv_thr'] = n_atoms * per_atom['etot_conv_thr']
    system = parameters['SYSTEM']
    if system['occupations'] == 'fixed':
        filled = math.ceil(n_electrons(structure, pseudos) / 2)
        system['nbnd'] = filled + max(SPARE_BANDS, math.ceil(0.1 * filled))
    names = structure.get_kind_names()
    for keyword, values in system.items():
        if isinstance(values, dict):
            system[keyword] = {name: value for name, value in values.items() if name in names}
    parameters['SYSTEM'] = {keyword: value for keyword, value in system.items() if value != {}}
    return parameters


def kpoints_mesh(structure: orm.StructureData, distance: float) -> orm.KpointsData:
    """Mesh that PwBaseWorkChain would make for a largest distance (1/Å) between k-points, not stored."""
    function = inspect.unwrap(create_kpoints_from_distance)
    mesh: orm.KpointsData = function(structure, orm.Float(distance), orm.Bool(False))
    return mesh
