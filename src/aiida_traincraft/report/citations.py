"""What a publication that rests on a campaign should cite."""

from __future__ import annotations

from aiida import orm

ALWAYS = (
    'AiiDA: Huber et al., Scientific Data 7, 300 (2020), doi:10.1038/s41597-020-00638-4',
    'ASE: Larsen et al., J. Phys.: Condens. Matter 29, 273002 (2017), doi:10.1088/1361-648X/aa680e',
)
OF_TRAINING = {
    'pace': (
        'ACE: Drautz, Phys. Rev. B 99, 014104 (2019), doi:10.1103/PhysRevB.99.014104',
        'PACE: Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021), doi:10.1038/s41524-021-00559-9',
        'pacemaker: Bochkarev et al., Phys. Rev. Mater. 6, 013804 (2022), doi:10.1103/PhysRevMaterials.6.013804',
        'Extrapolation grade: Lysogorskiy et al., Phys. Rev. Mater. 7, 043801 (2023), '
        'doi:10.1103/PhysRevMaterials.7.043801',
    ),
    'mace': ('MACE: Batatia et al., NeurIPS 35 (2022), arXiv:2206.07697',),
}
OF_LABELLING = {
    'quantumespresso': (
        'Quantum ESPRESSO: Giannozzi et al., J. Phys.: Condens. Matter 29, 465901 (2017), doi:10.1088/1361-648X/aa8f79',
    ),
    'tblite': ('GFN2-xTB: Bannwarth et al., J. Chem. Theory Comput. 15, 1652 (2019), doi:10.1021/acs.jctc.8b01176',),
}


def citations(campaign: orm.WorkChainNode) -> list[str]:
    """References for the codes that a campaign used."""
    config = campaign.inputs.config.get_dict()
    labelling = config['labelling']
    teacher = (labelling.get('calculator') or {}).get('type', labelling['type'])
    training = config['training']['type']
    found = [*ALWAYS, *OF_TRAINING.get('pace' if training.startswith('pace') else training, ())]
    return [*found, *OF_LABELLING.get(teacher, ()), *OF_LABELLING.get(labelling['type'], ())]
