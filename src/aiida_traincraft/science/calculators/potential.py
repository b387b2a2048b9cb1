"""The calculator of a potential that lies in a job's folder, whoever trained it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from aiida_traincraft.science.baselines import make_baseline
from aiida_traincraft.science.calculators import make_calculator
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.models.delta import DeltaCalculator
from aiida_traincraft.science.workspace import check_digests


def load_potential(
    table: Mapping[str, Any], folder: Path, device: str = 'cpu', driver: Literal['mean', 'first'] = 'mean'
) -> Any:
    """ASE calculator of a potential.

    Parameters
    ----------
    table
        ACE: ``{"type": "pace", "e0": eV by element, "active_set": whether there is one}``, with the files
        ``potential.yaml``, ``.asi`` and, where it is there, ``.yace``. MACE: ``{"type": "mace", "models": names of the
        members' files, "head": name or None, "e0": eV by element that the head knows, ...}``. Any other: ``{"type":
        "calculator", "calculator": table of a registered calculator, "files": its keys that name files}``. With
        ``baseline``, the table of what was subtracted from the labels, which is added.
    folder
        Where the files are; all are read at once.
    device
        torch's name of the device; MACE only.
    driver
        Whose forces a MACE committee has, see :class:`~aiida_traincraft.science.models.mace.MaceCalculator`.

    Returns
    -------
    Calculator
        With ``uncertainty`` (``gamma``, ``spread`` in eV/Å, or None if it has none). Of pace and mace also with
        ``elements``; ``with_uncertainty``, which asks for ``results['uncertainty']`` (n_atoms,); and
        ``descriptor(atoms)``, the mean descriptor (d,) of the atoms of each element. ``active_coordinates(atoms)`` only
        with ``gamma``.

    Raises
    ------
    ValueError
        If the type is unknown, or a file is absent, damaged, does not belong to the others or, where the table tells
        ``digests`` (SHA-256 of each), is not what was written.
    ModuleNotFoundError
        If the potential's own package (python-ace, mace-torch) is not installed.
    """
    check_digests(folder, table.get('digests', {}))
    learned = _load_learned(table, folder, device, driver)
    baseline = parse_plugin('baseline', table.get('baseline', {'type': 'none'}))
    return DeltaCalculator(learned, make_baseline(baseline)) if baseline.subtracts else learned


def _load_learned(table: Mapping[str, Any], folder: Path, device: str, driver: Literal['mean', 'first']) -> Any:
    # Each package is only on the compute nodes that need it.
    match table['type']:
        case 'pace':
            from aiida_traincraft.science.models.ace import PaceCalculator

            fast = folder / 'potential.yace'
            return PaceCalculator(
                potential=folder / 'potential.yaml',
                e0=table['e0'],
                active_set=folder / 'potential.asi' if table['active_set'] else None,
                fast=fast if fast.is_file() else None,
            )
        case 'mace':
            from aiida_traincraft.science.models.mace import MaceCalculator

            models = [folder / name for name in table['models']]
            # Models of dipoles have no E0s.
            return MaceCalculator(models, table['head'], device, driver, elements=table.get('e0') or None)
        case 'calculator':
            content = dict(table['calculator'])
            for key in table['files']:
                names = content[key]
                one = isinstance(names, str)
                content[key] = str(folder / names) if one else [str(folder / name) for name in names]
            calculator = make_calculator(parse_plugin('calculator', content))
            if not hasattr(calculator, 'uncertainty'):
                # ASE's own and most others have none, and do not say so.
                calculator.uncertainty = None
            return calculator
        case unknown:
            raise ValueError(f'no potential is of type {unknown!r}; known are pace, mace and calculator')
