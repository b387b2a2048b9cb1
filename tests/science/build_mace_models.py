"""Write untrained MACE models of every class, in seconds: ``python build_mace_models.py FOLDER``, where MACE is."""

import sys
from pathlib import Path

import mace.modules as modules
import numpy as np
import torch
from e3nn.o3 import Irreps

BLOCK = modules.interaction_classes['RealAgnosticResidualInteractionBlock']
SETTINGS = {
    'num_bessel': 4,
    'num_polynomial_cutoff': 5,
    'max_ell': 2,
    'interaction_cls': BLOCK,
    'interaction_cls_first': BLOCK,
    'num_interactions': 2,
    'num_elements': 2,
    'hidden_irreps': Irreps('4x0e + 4x1o'),
    'avg_num_neighbors': 10.0,
    'correlation': 2,
    'gate': torch.nn.functional.silu,
    'radial_MLP': [8],
}


def energy_model(seed, heads=('Default',), r_max=4.0, numbers=(13, 29), model=modules.ScaleShiftMACE):
    torch.manual_seed(seed)
    steps = np.arange(len(heads))
    scaling = {}
    if model is modules.ScaleShiftMACE:
        scaling = {'atomic_inter_scale': 5.0 + steps, 'atomic_inter_shift': 0.1 * steps}
    e0 = np.array([[3.28 + step, 3.51 + step] for step in steps])
    mlp = Irreps(f'{4 * len(heads)}x0e')
    return model(
        **SETTINGS,
        **scaling,
        r_max=r_max,
        atomic_numbers=list(numbers),
        atomic_energies=e0,
        MLP_irreps=mlp,
        heads=list(heads),
    )


def dipole_model(seed, model, mlp, hidden='4x0e + 4x1o', e0=None):
    torch.manual_seed(seed)
    settings = SETTINGS | {'hidden_irreps': Irreps(hidden)}
    return model(**settings, r_max=4.0, atomic_numbers=[13, 29], atomic_energies=e0, MLP_irreps=Irreps(mlp))


def main(folder):
    torch.set_default_dtype(torch.float64)
    e0 = np.array([3.28, 3.51])
    polar = '4x0e + 4x1o + 4x2e'
    models = {
        'model_0': energy_model(0),
        'model_1': energy_model(1),
        'model_2': energy_model(2),
        'plain': energy_model(3, model=modules.MACE),
        'heads': energy_model(4, heads=('low', 'high')),
        'longer': energy_model(5, r_max=5.0),
        'dipoles': dipole_model(6, modules.AtomicDipolesMACE, '4x1o'),
        'dielectric': dipole_model(7, modules.AtomicDielectricMACE, polar, polar),
        'energy_dipoles': dipole_model(8, modules.EnergyDipolesMACE, '4x0e + 4x1o', e0=e0),
    }
    torch.set_default_dtype(torch.float32)
    models['float32'] = energy_model(9)
    for name, model in models.items():
        torch.save(model, folder / f'{name}.model')
    torch.save({'weights': torch.zeros(3)}, folder / 'weights.model')
    (folder / 'damaged.model').write_bytes(b'no model')


main(Path(sys.argv[1]))
