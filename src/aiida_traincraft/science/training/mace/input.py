"""MACE's files: the configuration that ``mace_run_train`` reads, and the data it fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.extxyz import write_xyz

from aiida_traincraft.science.config.training.mace import DIPOLE_LABELS, DIPOLE_MODELS, PT_HEAD, MaceTraining
from aiida_traincraft.science.structure import EXTXYZ_PREFIX, ISOLATED_ATOM, Structure
from aiida_traincraft.science.training.labels import check_labels

NAME = 'potential'
DATA_FOLDER = 'data'
FOUNDATION_FILE = 'foundation.model'
LABELS = ('energy', 'forces', 'stress', 'dipole', 'polarizability')
"""What MACE can be trained on here: eV, eV/Å, eV/Å³, e·Å and Å³."""
HDF5_LABELS = (*LABELS, 'virials', 'charges')
"""What MACE trains on zeros of if it is missing and has no weight of 0."""
DIPOLE_SETTINGS = {
    'AtomicDipolesMACE': ('dipole', 'DipoleRMSE'),
    'AtomicDielectricMACE': ('dipole_polar', 'DipolePolarRMSE'),
    'EnergyDipolesMACE': ('energy_forces_dipole', 'EnergyDipoleRMSE'),
}
"""Loss and error table of each dipole model; MACE takes no other."""
SAME_NAME = (
    *('model', 'r_max', 'num_interactions', 'num_channels', 'max_L', 'max_ell', 'correlation', 'optimizer', 'lr'),
    *('weight_decay', 'scheduler_patience', 'clip_grad', 'amsgrad', 'ema', 'ema_decay', 'batch_size'),
    *('valid_batch_size', 'max_num_epochs'),
)
"""Keys of the config that are flags of ``mace_run_train`` of the same name."""


def split_validation(structures: Sequence[Structure], fraction: float) -> tuple[list[Structure], list[Structure]]:
    """Split into a training and a validation set by the structures' content.

    The validation set are the structures whose hash is below the fraction; if there is none, the one with the lowest
    hash. What would leave the training set without one of its elements is trained on instead. So a structure nearly
    always stays on its side when others are added; in a small set, and with rare elements, it may change it.

    Parameters
    ----------
    structures
        At least two.
    fraction
        Expected fraction of the validation set, which has at least one structure.

    Raises
    ------
    ValueError
        If no structure can be spared for validation.
    """
    hashes = [structure.content_hash() for structure in structures]
    trained = Counter(element for structure in structures for element in structure.elements)
    valid: set[int] = set()
    for index in sorted(range(len(structures)), key=lambda index: hashes[index]):
        if valid and int(hashes[index], 16) >= fraction * 16 ** len(hashes[index]):
            break
        elements = structures[index].elements
        if all(trained[element] > 1 for element in elements):
            trained.subtract(elements)
            valid.add(index)
    if not valid:
        raise ValueError(f'{len(structures)} training structures are too few to spare one for validation')
    train = [structure for index, structure in enumerate(structures) if index not in valid]
    return train, [structure for index, structure in enumerate(structures) if index in valid]


def write_data(path: Path, structures: Sequence[Structure]) -> None:
    """Write extended XYZ with the labels under keys that ASE leaves alone (``REF_energy``, ...).

    ``config_weight`` is the square of ``provenance["weight"]``: MACE's weight multiplies squared residuals.
    """
    images = []
    for structure in structures:
        source = structure.atoms
        atoms = Atoms(source.numbers, source.positions, cell=source.cell, pbc=source.pbc)
        for name in LABELS:
            if name not in structure.properties:
                continue
            value = np.asarray(structure.properties[name], float)
            if name == 'forces':
                atoms.set_array(EXTXYZ_PREFIX + name, value)
            else:
                atoms.info[EXTXYZ_PREFIX + name] = value.ravel() if value.ndim else float(value)
        if 'weight' in structure.provenance:
            atoms.info['config_weight'] = float(structure.provenance['weight']) ** 2
        images.append(atoms)
    with path.open('w', encoding='utf-8') as handle:
        write_xyz(handle, images, write_results=False)


def write_hdf5(path: Path, structures: Iterable[Structure]) -> None:
    """Write what ``mace_prepare_data`` makes, one structure at a time: one batch of configurations.

    A label that a structure does not have gets weight 0, as where MACE reads extended XYZ; weights of structures are
    squared as by :func:`write_data`.
    """
    import h5py

    with h5py.File(path, 'w') as handle:
        handle.attrs['drop_last'] = False
        batch = handle.create_group('config_batch_0')
        for index, structure in enumerate(structures):
            group = batch.create_group(f'config_{index}')
            group['atomic_numbers'] = structure.atoms.numbers
            group['positions'] = structure.atoms.positions
            group['cell'] = structure.atoms.cell.array
            group['pbc'] = structure.atoms.pbc
            group['weight'] = float(structure.provenance.get('weight', 1.0)) ** 2
            group['config_type'] = config_type(structure)
            properties, weights = group.create_group('properties'), group.create_group('property_weights')
            for name in HDF5_LABELS:
                if name in structure.properties:
                    properties[name] = np.asarray(structure.properties[name], float)
                else:
                    weights[name] = 0.0


def config_type(structure: Structure) -> str:
    """Name by which MACE tells kinds of structures apart: the system, or MACE's own name of isolated atoms."""
    system = structure.provenance.get('system')
    return 'IsolatedAtom' if system == ISOLATED_ATOM else str(system or 'Default')


def label_counts(structures: Sequence[Structure]) -> dict[str, Any]:
    """Number of structures (``configurations``) and of those with each label, and the ``elements`` (alphabetical)."""
    counts: dict[str, Any] = {'configurations': len(structures)}
    counts |= {name: sum(name in structure.properties for structure in structures) for name in LABELS}
    counts['elements'] = sorted({element for structure in structures for element in structure.elements})
    return counts


def check_data(
    config: MaceTraining, head: str, structures: Sequence[Structure], e0: Mapping[str, float]
) -> tuple[list[Structure], list[Structure]]:
    """Check the data of one head before anything is submitted, and split them.

    Parameters
    ----------
    config
        Model, loss, batch size and fraction of the validation set.
    head
        Name of the head.
    structures
        Its data.
    e0
        Energies of the isolated atoms (eV); dipole models without energies need none.

    Returns
    -------
    tuple
        What is trained on and what the checkpoints are chosen by, see :func:`split_validation`.

    Raises
    ------
    ValueError
        Names the head, and what it lacks.
    """
    if not structures:
        raise ValueError(f'head "{head}" has no training data')
    try:
        if config.gives_forces:
            check_labels(structures, e0)
        for index, structure in enumerate(structures):
            for name, shape in DIPOLE_LABELS.get(config.model, {}).items():
                value = np.asarray(structure.properties.get(name, np.nan), float)
                if value.shape != shape or not np.isfinite(value).all():
                    # Without one, MACE would train on zeros.
                    raise ValueError(
                        f'training structure {index} ({structure.formula}) has no {name}, or not {shape} finite numbers'
                    )
        train, valid = split_validation(structures, config.valid_fraction)
    except ValueError as error:
        raise ValueError(f'head "{head}": {error}') from None
    if len(train) < config.batch_size:
        raise ValueError(
            f'head "{head}": {len(train)} training structures are fewer than training.batch_size ({config.batch_size})'
        )
    stressed = any('stress' in structure.properties for structure in train)
    if head == config.head and config.loss in ('stress', 'huber') and not stressed:
        raise ValueError(f'training.loss = "{config.loss}", but no training structure of head "{head}" has a stress')
    return train, valid


def mace_input(
    config: MaceTraining,
    heads: Sequence[Mapping[str, Any]],
    seed: int,
    device: str,
    batch_size: int | None = None,
    lr: float | None = None,
) -> dict[str, Any]:
    """Content of the file that ``mace_run_train --config`` reads.

    Parameters
    ----------
    config
        Model and fit.
    heads
        Of each head ``name``, ``e0`` (eV) and ``counts`` (:func:`label_counts` of "train" and "valid"); the campaign's
        own is the last: MACE chooses checkpoints by that.
    seed
        Of weights and batches.
    device
        torch's name.
    batch_size, lr
        In place of those of the config; a smaller batch size holds for validation too, and the learning rate of stage
        two changes by the same factor.

    Raises
    ------
    ValueError
        If the heads are not those of the config, or an isolated-atom energy is missing.
    """
    names = [head['name'] for head in heads]
    expected = {config.head, *(head.name for head in config.heads), *([PT_HEAD] if config.replay else [])}
    if set(names) != expected or names[-1] != config.head:
        raise ValueError(f'heads are {", ".join(names)}, expected {", ".join(sorted(expected))} with the own one last')
    content: dict[str, Any] = {key: getattr(config, key) for key in SAME_NAME}
    content |= {f'{name}_weight': getattr(config, f'{name}_weight') for name in LABELS}
    content |= {f'{name}_key': EXTXYZ_PREFIX + name for name in LABELS}
    # MACE wants lists and tables as text.
    content |= {
        'name': NAME,
        'seed': seed,
        'device': device,
        'default_dtype': config.dtype,
        'radial_MLP': str(config.radial_MLP),
        'loss': 'stress' if any(head['counts']['train']['stress'] for head in heads) else 'weighted',
        'heads': str({head['name']: _head(config, head) for head in heads if head['name'] != PT_HEAD}),
        'skip_evaluate_heads': '',
        'plot': False,
        'restart_latest': True,
        'save_cpu': True,
    }
    if config.loss is not None:
        content['loss'] = config.loss
    if config.model in DIPOLE_MODELS:
        content['loss'], content['error_table'] = DIPOLE_SETTINGS[config.model]
    if config.start_stage_two is not None:
        content |= {key: getattr(config, key) for key in ('start_stage_two', 'stage_two_lr')}
        content |= {key: getattr(config, key) for key in (f'stage_two_{name}_weight' for name in LABELS)}
    if config.foundation is not None:
        content |= {
            'foundation_model': f'{DATA_FOLDER}/{FOUNDATION_FILE}',
            'multiheads_finetuning': config.replay,
        }
    if config.replay:
        content |= {f'pt_{split}_file': data_file(PT_HEAD, split) for split in ('train', 'valid')}
        content |= {'loss': 'universal', 'force_mh_ft_lr': True}
    content |= {flag: str(value) if isinstance(value, list | dict) else value for flag, value in config.extra.items()}
    if batch_size is not None:
        content['batch_size'] = batch_size
        if batch_size < config.batch_size:
            # What is too much for training is too much for validation.
            content['valid_batch_size'] = min(config.valid_batch_size, batch_size)
    if lr is not None:
        content['lr'] = lr
        if config.start_stage_two is not None:
            content['stage_two_lr'] = config.stage_two_lr * (lr / config.lr)
    return content


def data_file(head: str, split: str) -> str:
    """Path of a data file ("train" or "valid") in the job's folder."""
    return f'{DATA_FOLDER}/{head}_{split}.xyz'


def head_elements(head: Mapping[str, Any]) -> list[str]:
    """Elements (alphabetical) of the data of a head."""
    return sorted({element for counts in head['counts'].values() for element in counts['elements']})


def _head(config: MaceTraining, head: Mapping[str, Any]) -> dict[str, Any]:
    elements = head_elements(head)
    # Dipole models take E0s too, and have no use for them.
    e0 = head['e0'] if config.gives_forces else dict.fromkeys(elements, 0.0)
    if missing := sorted(set(elements) - set(e0)):
        raise ValueError(f'head "{head["name"]}": no isolated-atom energy (e0, eV) is given for {", ".join(missing)}')
    return {
        'train_file': data_file(head['name'], 'train'),
        'valid_file': data_file(head['name'], 'valid'),
        # MACE is at a loss with an energy of an element that its data do not have.
        'E0s': str({atomic_numbers[element]: float(e0[element]) for element in elements}),
    }
