"""Whether computers and codes do what a campaign will ask of them, found out by tiny real jobs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from aiida import orm
from aiida.common import exceptions
from aiida.engine import CalcJob
from aiida_pseudo.groups.family import PseudoPotentialFamily
from aiida_pseudo.groups.mixins import RecommendedCutoffMixin
from aiida_quantumespresso.calculations.pw import PwCalculation
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii

from aiida_traincraft.calculations.ase_label import AseLabelCalculation
from aiida_traincraft.calculations.functions.datasets import extend_dataset
from aiida_traincraft.calculations.mace_data import MaceDataCalculation
from aiida_traincraft.calculations.mace_train import MaceTrainCalculation
from aiida_traincraft.calculations.pace_linear import PaceLinearCalculation
from aiida_traincraft.calculations.pace_train import PaceTrainCalculation
from aiida_traincraft.calculations.pw_inputs import kpoints_mesh, structure_parameters
from aiida_traincraft.calculations.pw_setup import (
    common_parameters,
    find_family,
    find_pseudos,
    per_atom_thresholds,
    resolve,
    with_mpi,
)
from aiida_traincraft.calculations.pw_version import PwVersionCalculation
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.data.manifest import ManifestData
from aiida_traincraft.launch.seams import CampaignSeams
from aiida_traincraft.launch.trial_job import run_trial
from aiida_traincraft.science.config.campaign import CampaignConfig
from aiida_traincraft.science.config.codes import CODE_ROLES, CodeConfig, CodesConfig, TorchCodeConfig
from aiida_traincraft.science.config.labelling.quantumespresso import QuantumEspressoLabelling
from aiida_traincraft.science.config.training.mace import MaceTraining
from aiida_traincraft.science.config.training.pace import PaceNonlinearTraining
from aiida_traincraft.science.config.training.pace_linear import PaceLinearTraining
from aiida_traincraft.science.structure import ISOLATED_ATOM, Structure
from aiida_traincraft.workchains.base import code_options

INSTALL_PSEUDOS = 'traincraft pseudos install FOLDER --family NAME'
NEED_LABELS = ('pace', 'pacemaker', 'mace', 'mace_train')
CORE = ('ase',)
"""Roles that every campaign has; the others are for some only."""
N_CELLS = 12
EMT = {'type': 'emt'}
TRAINING = {'cutoff': 5.0, 'functions': 10, 'ridge': [1e-6]}
MACE_TRAINING = {
    'r_max': 4.0,
    'num_interactions': 1,
    'num_channels': 4,
    'max_L': 0,
    'max_ell': 1,
    'correlation': 1,
    'radial_MLP': [8],
    'max_num_epochs': 1,
    'batch_size': 4,
    'valid_fraction': 0.2,
}
CUTOFFS = {'ecutwfc': 20.0, 'ecutrho': 160.0}
"""Of a family that recommends none (Ry): enough to see that pw.x runs."""
KPOINTS_DISTANCE = 0.6
"""Largest distance between two k-points (1/Å), coarse for the same reason."""


class _UntestableError(Exception):
    """What a test needs is not there, and nobody asked for it."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    what: str
    """What was checked."""
    state: Literal['ok', 'wrong', 'skipped']
    """``skipped``: it says nothing of its own."""
    text: str
    """What was seen, or what is wrong and what to do."""


@dataclass(frozen=True)
class _Place:
    """Where the jobs of a role run, and how."""

    role: str
    code: orm.AbstractCode
    config: CodeConfig
    seconds: float
    campaign: CampaignConfig | None

    def run(self, process: type[CalcJob], **inputs: Any) -> orm.CalcJobNode:
        """Run a job with the options of the campaign."""
        metadata = {'label': 'traincraft doctor', 'options': self.options | inputs.pop('options', {})}
        limit = min(self.seconds, self.config.max_wallclock_seconds)
        return run_trial(process, {'code': self.code, 'metadata': metadata, **inputs}, limit, self.role)

    @property
    def options(self) -> dict[str, Any]:
        """Options of a job."""
        return code_options(self.config)


def examine(campaign: CampaignConfig | None, seconds: float) -> Iterator[Finding]:
    """Check computers and codes, one finding at a time.

    Parameters
    ----------
    campaign
        Whose codes, options and pseudopotentials are checked; without it, the default codes that exist.
    seconds
        Time (s) after which a job is broken off, if its code's ``max_wallclock_seconds`` do not come first.
    """
    codes: dict[str, orm.AbstractCode] = {}
    config = campaign.codes if campaign is not None else CodesConfig()
    needed = CampaignSeams(campaign).roles if campaign is not None else CODE_ROLES
    for role in (role for role in CODE_ROLES if role in needed):
        label = config.of(role).code
        try:
            codes[role] = orm.load_code(label)
        except (exceptions.NotExistent, exceptions.MultipleObjectsError, ValueError):
            told = f'there is no code {label!r} in this profile: "traincraft setup" makes it or says how to get it'
            yield Finding(role, 'wrong' if campaign is not None or role in CORE else 'skipped', told)
    if not codes:
        yield Finding('codes', 'wrong', 'there is nothing to check in this profile: run "traincraft setup" first')
    broken = set()
    for computer in {code.computer.pk: code.computer for code in codes.values() if code.computer}.values():
        finding = _checked(f'computer {computer.label}', check_computer, computer)
        yield finding
        if finding.state == 'wrong':
            broken.add(computer.pk)
    made: dict[str, DatasetData] = {}
    for role, code in codes.items():
        what = f'{role} ({code.full_label})'
        if code.computer is not None and code.computer.pk in broken:
            yield Finding(what, 'skipped', f'its computer {code.computer.label} cannot be used, see above')
        elif role in NEED_LABELS and 'ase' not in made:
            yield Finding(
                what, 'skipped', 'it is tested with the labels that the check of "ase" makes: mend that first'
            )
        else:
            place = _Place(role, code, config.of(role), seconds, campaign)
            yield _checked(what, _check_code, place, made)


def check_computer(computer: orm.Computer) -> str:
    """Whether a computer is configured, answers, and lets us write.

    Raises
    ------
    ValueError
        If not: what is wrong and what to do.
    """
    configure = f'verdi computer configure {computer.transport_type} {computer.label}'
    if not computer.is_configured:
        raise ValueError(f'it is not configured for this user of the profile: {configure}')
    authinfo = computer.get_authinfo(orm.User.collection.get_default())
    if not authinfo.enabled:
        raise ValueError(f'it is disabled: verdi computer enable {computer.label} {authinfo.user.email}')
    try:
        transport = authinfo.get_transport()
        transport.open()
    except Exception as error:
        # Every transport has exceptions of its own.
        raise ValueError(
            f'{computer.hostname} cannot be reached ({_short(error)}): "verdi computer test '
            f'{computer.label}" says more, "{configure}" corrects it'
        ) from error
    workdir = computer.get_workdir()
    try:
        workdir = authinfo.get_workdir().format(username=transport.whoami())
        transport.makedirs(workdir, ignore_existing=True)
        trial = f'{workdir.rstrip("/")}/.traincraft-{uuid.uuid4().hex}'
        transport.mkdir(trial)
        transport.rmdir(trial)
    except Exception as error:
        raise ValueError(
            f'nothing can be written to its work folder {workdir} ({_short(error)}): correct its rights or its '
            f'disk, or make the computer again with another folder ("verdi computer duplicate {computer.label}" asks)'
        ) from error
    finally:
        transport.close()
    return f'answers, jobs run below {workdir}'


def _short(error: Exception) -> str:
    return ' '.join(f'{type(error).__name__}: {error}'.split())[:200]


def _checked(what: str, check: Callable[..., str], *arguments: Any) -> Finding:
    try:
        return Finding(what, 'ok', check(*arguments))
    except _UntestableError as error:
        return Finding(what, 'skipped', str(error))
    except (ValueError, OSError, exceptions.AiidaException) as error:
        return Finding(what, 'wrong', ' '.join(str(error).split()) or type(error).__name__)


def _check_code(place: _Place, made: dict[str, DatasetData]) -> str:
    if place.code.computer is None:
        raise ValueError('the code has no computer: make an installed one with "verdi code create core.code.installed"')
    if isinstance(place.code, orm.InstalledCode) and not isinstance(place.code, orm.ContainerizedCode):
        _check_executable(place.code)
    if place.role == 'pw':
        return _check_pw(place)
    if place.role == 'ase':
        made['ase'] = _labels(place)
        return f'{made["ase"]} made with EMT'
    if place.role == 'pace':
        training = PaceLinearTraining.model_validate(TRAINING)
        job = place.run(PaceLinearCalculation, dataset=made['ase'], parameters=_fit_parameters(training))
        return f'linear fit in {job.outputs.summary["seconds"]:.1f} s'
    if place.role in ('mace', 'mace_train'):
        return _check_mace(place, made['ase'])
    nonlinear = PaceNonlinearTraining.model_validate(TRAINING | {'maxiter': 2, 'display_step': 1, 'batch_size': 8})
    parameters = _fit_parameters(nonlinear, start='cold')
    job = place.run(PaceTrainCalculation, dataset=made['ase'], parameters=parameters)
    return f'2 iterations of a fit in {job.outputs.summary["seconds"]:.1f} s'


def _check_mace(place: _Place, dataset: DatasetData) -> str:
    section = MaceTraining.model_validate(MACE_TRAINING)
    settings = {
        'training': section.model_dump(mode='json'),
        'device': place.config.device if isinstance(place.config, TorchCodeConfig) else 'cpu',
    }
    datasets = {section.head: dataset}
    data = place.run(MaceDataCalculation, datasets=datasets, parameters=orm.Dict(settings))
    job = place.run(
        MaceTrainCalculation,
        data=data.outputs.remote_folder,
        heads=data.outputs.heads,
        datasets=datasets,
        seed=orm.Int(1),
        parameters=orm.Dict(settings | {'batch_size': section.batch_size, 'lr': section.lr, 'descriptors': False}),
    )
    return f'one epoch on {settings["device"]} in {job.outputs.summary["seconds"]:.1f} s'


def _check_executable(code: orm.InstalledCode) -> None:
    try:
        code.validate_filepath_executable()
    except exceptions.ValidationError as error:
        path, where = code.filepath_executable, code.computer.label
        text = str(error)
        if 'does not exist' in text:
            text = f'there is no {path} on {where}'
        elif 'might not actually be executable' in text:
            text = f'{path} on {where} may not be executed (chmod +x mends that)'
        raise ValueError(
            f'{text}: make the code again with the right path ("traincraft setup" on this machine, else '
            '"verdi code create core.code.installed")'
        ) from error


def _fit_parameters(training: PaceLinearTraining | PaceNonlinearTraining, **more: Any) -> orm.Dict:
    return orm.Dict({'training': training.model_dump(mode='json'), 'seed': 1, **more})


def _labels(place: _Place) -> DatasetData:
    """Label rattled cells and the isolated atom of copper, and make a dataset of them."""
    rng = np.random.default_rng(1)
    structures = [Structure(Atoms('Cu', pbc=False), provenance={'system': ISOLATED_ATOM})]
    for _ in range(N_CELLS):
        atoms = bulk('Cu', 'fcc', a=3.6, cubic=True)
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        structures.append(Structure(atoms, provenance={'system': 'doctor'}))
    nodes = [TrainingStructureData(structure).store() for structure in structures]
    manifest = ManifestData([node.uuid for node in nodes], [node.fingerprint for node in nodes])
    job = place.run(
        AseLabelCalculation,
        structures=manifest,
        level_of_theory=LevelOfTheoryData.get_or_create({'type': 'ase', 'calculator': EMT}),
        parameters=orm.Dict({'calculator': EMT, 'min_distance': 0.5}),
    )
    if reasons := job.outputs.ledger.reasons:
        raise ValueError(f'labels failed: {"; ".join(reasons)}')
    dataset: DatasetData = extend_dataset(job.outputs.manifest, orm.Str('train'))
    return dataset


def _check_pw(place: _Place) -> str:
    section = _labelling(place.campaign)
    family = find_family(section.pseudo_family)
    elements = sorted(family.elements)
    element = 'Si' if 'Si' in elements else elements[0]
    pseudos = find_pseudos(family, [element])
    section = resolve(section, [element])

    options = with_mpi(place.options)
    version = place.run(PwVersionCalculation, options=options).outputs.version.value
    edge = 4 * 2 * covalent_radii[atomic_numbers[element]] / np.sqrt(3)
    structure = orm.StructureData(ase=bulk(element, 'diamond', a=edge))
    parameters = structure_parameters(
        common_parameters(section, pseudos), per_atom_thresholds(section), structure, pseudos
    )
    job = place.run(
        PwCalculation,
        structure=structure,
        pseudos=pseudos,
        parameters=orm.Dict(parameters),
        kpoints=kpoints_mesh(structure, KPOINTS_DISTANCE),
        options=options,
    )
    result: Mapping[str, Any] = job.outputs.output_parameters.get_dict()
    arrays = set(job.outputs.output_trajectory.get_arraynames())
    if missing := sorted({'forces', 'stress'} - arrays):
        raise ValueError(f'pw.x {version} gave no {" and no ".join(missing)} (PK {job.pk})')
    if result['creator_version'] != version:
        raise ValueError(
            f'the code is pw.x {version} at one time and {result["creator_version"]} at another: name one version in '
            'its path or its modules'
        )
    return (
        f'pw.x {version}, {element}2 with {section.pseudo_family!r}: {result["energy"]:.3f} eV, forces and stress, in '
        f'{result["wall_time_seconds"]:.1f} s'
    )


def _labelling(campaign: CampaignConfig | None) -> QuantumEspressoLabelling:
    """Section of the trial calculation: that of the campaign without spin, or what the first family allows."""
    if campaign is not None and isinstance(campaign.labelling, QuantumEspressoLabelling):
        trial = {'spin': 'none', 'magnetic_moments': {}, 'smearing': 'cold', 'degauss': 0.02}
        return campaign.labelling.model_copy(update=trial)
    query = orm.QueryBuilder().append(PseudoPotentialFamily, tag='family').order_by({'family': 'id'})
    families = [family for family in query.all(flat=True) if family.count()]
    if not families:
        raise _UntestableError(f'for labels by pw.x there are no pseudopotentials: {INSTALL_PSEUDOS}')
    family = families[0]
    recommends = isinstance(family, RecommendedCutoffMixin) and family.get_cutoff_stringencies()
    cutoffs = {} if recommends else CUTOFFS
    return QuantumEspressoLabelling.model_validate({'pseudo_family': family.label, 'protocol': 'fast', **cutoffs})
