"""Section ``[training]`` with ``type = "mace"``: a committee of MACE models."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from aiida_traincraft.science.baselines.none import NoneConfig
from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.fields import BaselineField
from aiida_traincraft.science.config.kinds import BaselineConfig, TrainerConfig
from aiida_traincraft.science.config.training.base import check_reach
from aiida_traincraft.science.registry import register

HeadName = Annotated[str, Field(pattern='^[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*$')]

PT_HEAD = 'pt_head'
"""MACE's name for the head of the replayed data."""

FORCELESS = ('AtomicDipolesMACE', 'AtomicDielectricMACE')
"""Models that predict dipoles alone, without energies and forces."""

DIPOLE_LABELS: dict[str, dict[str, tuple[int, ...]]] = {
    'AtomicDipolesMACE': {'dipole': (3,)},
    'AtomicDielectricMACE': {'dipole': (3,), 'polarizability': (3, 3)},
    'EnergyDipolesMACE': {'dipole': (3,)},
}
"""Labels of dipole models beside energies and forces, and their shapes."""
DIPOLE_MODELS = tuple(DIPOLE_LABELS)

# Flags of mace_run_train that cannot be set in "extra", and what to do instead.
RESERVED = (
    dict.fromkeys(
        (
            *('config', 'name', 'seed', 'E0s', 'train_file', 'valid_file', 'statistics_file', 'atomic_numbers'),
            *('restart_latest', 'save_cpu', 'dry_run', 'log_level', 'plot'),
            *('error_table', 'skip_evaluate_heads', 'keep_isolated_atoms', 'config_type_weights', 'distributed'),
            *('launcher', 'wandb', 'multiheads_finetuning', 'pt_train_file', 'pt_valid_file', 'force_mh_ft_lr'),
            *('foundation_model_elements', 'foundation_model_kwargs', 'compute_polarizability'),
        ),
        'is set for every training',
    )
    | dict.fromkeys(
        ('keep_checkpoints', 'save_all_checkpoints'), 'is left off: a copy of the newest checkpoint is kept'
    )
    | dict.fromkeys(('num_samples_pt', 'filter_type_pt', 'subselect_pt', 'weight_pt_head'), 'replay uses all data')
    | dict.fromkeys(('test_file', 'test_dir', 'multi_processed_test'), 'test sets are scored by "traincraft.evaluate"')
    | dict.fromkeys(('foundation_model', 'foundation_head'), 'use the table "foundation"')
    | {
        'device': 'comes with the code',
        'default_dtype': 'use the key "dtype"',
        'hidden_irreps': 'use the keys "num_channels" and "max_L"',
    }
)
STAGE_TWO_FLAGS = {'swa': 'start_stage_two', 'stage_two': 'start_stage_two', 'start_swa': 'start_stage_two'}


class MaceHead(StrictModel):
    """A further level of theory in the same model."""

    name: HeadName
    """Name of the head: letters and digits, joined by single underscores."""
    dataset: str | None = None
    """UUID of a stored dataset; or ``level_of_theory``."""
    level_of_theory: str | None = None
    """Hash of a level of theory, or its beginning: all labels of that level; or ``dataset``."""

    @model_validator(mode='after')
    def _one_source(self) -> MaceHead:
        if (self.dataset is None) == (self.level_of_theory is None):
            raise ValueError('give one of "dataset" and "level_of_theory"')
        return self


class MaceFoundation(StrictModel):
    """A trained model to start from; its architecture holds, whatever the keys of the architecture say."""

    potential: str | None = None
    """UUID of a stored potential; or ``file``."""
    file: str | None = None
    """Path of a ``.model`` file, a pickle that can run any code: only from whom you trust; or ``potential``."""
    mode: Literal['naive', 'replay'] = 'naive'
    """"naive" goes on with the new data alone; "replay" trains on old data as a head of their own beside them."""
    replay_dataset: str | None = None
    """UUID of the dataset that "replay" trains on, at the level of theory of the foundation model."""
    head: str | None = None
    """Head to start from; without it, the own (last) head of a stored potential, or of a file its first that is no
    replay head."""

    @model_validator(mode='after')
    def _combination(self) -> MaceFoundation:
        if (self.potential is None) == (self.file is None):
            raise ValueError('give one of "potential" and "file"')
        if self.mode == 'replay' and self.replay_dataset is None:
            raise ValueError('mode = "replay" needs "replay_dataset"')
        if self.mode == 'naive' and self.replay_dataset is not None:
            raise ValueError('"replay_dataset" is not used with mode = "naive": set mode = "replay"')
        return self


def model_properties(model: str) -> frozenset[str]:
    """Properties that models of a class give."""
    energies = frozenset() if model in FORCELESS else frozenset({'energy', 'forces', 'stress'})
    return energies.union(DIPOLE_LABELS.get(model, {}))


@register('trainer', 'mace')
class MaceTraining(TrainerConfig):
    """MACE by ``mace_run_train``; defaults as MACE's own README and program have them, unless said otherwise."""

    roles: ClassVar[tuple[str, ...]] = ('mace', 'mace_train')
    """Codes of ``[codes]`` that it needs."""

    type: Literal['mace'] = 'mace'
    model: Literal['ScaleShiftMACE', 'MACE', 'AtomicDipolesMACE', 'AtomicDielectricMACE', 'EnergyDipolesMACE'] = (
        'ScaleShiftMACE'
    )
    """Energies (the first two), dipoles, dipoles and polarizabilities, or energies and dipoles."""
    r_max: float = Field(default=5.0, gt=1.0, le=20.0)
    """Radial cutoff (Å)."""
    num_interactions: int = Field(default=2, ge=1)
    """Message-passing layers."""
    num_channels: int = Field(default=128, ge=1)
    """Channels of the messages."""
    max_L: int = Field(default=1, ge=0)  # noqa: N815
    """Highest order of the messages: 0 is invariant and fastest; a dielectric model needs 2."""
    max_ell: int = Field(default=3, ge=1)
    """Highest order of the spherical harmonics."""
    correlation: int = Field(default=3, ge=1)
    """Correlation order of a layer (body order minus one)."""
    radial_MLP: list[Annotated[int, Field(ge=1)]] = Field(default=[64, 64, 64], min_length=1)  # noqa: N815
    """Widths of the radial network."""
    loss: Literal['weighted', 'forces_only', 'stress', 'huber', 'universal', 'l1l2energyforces'] | None = None
    """Loss of an energy model; without it "stress" if a training structure has one, else "weighted"."""
    energy_weight: float = Field(default=1.0, ge=0)
    """Weight of squared energies per atom ((eV/atom)²) in the loss."""
    forces_weight: float = Field(default=100.0, ge=0)
    """Weight of squared force components ((eV/Å)²)."""
    stress_weight: float = Field(default=100.0, ge=0)
    """Weight of squared stress components ((eV/Å³)²); MACE's own 1 is too little to be felt."""
    dipole_weight: float = Field(default=1.0, ge=0)
    """Weight of squared dipole components per atom ((e·Å)²)."""
    polarizability_weight: float = Field(default=1.0, ge=0)
    """Weight of squared components of the polarizability per atom ((Å³)²)."""
    optimizer: Literal['adam', 'adamw', 'schedulefree'] = 'adam'
    """Optimiser."""
    lr: float = Field(default=0.01, gt=0)
    """Learning rate."""
    weight_decay: float = Field(default=5e-7, ge=0)
    """L2 penalty."""
    scheduler_patience: int = Field(default=50, ge=0)
    """Epochs without improvement before the learning rate falls."""
    clip_grad: float = Field(default=10.0, gt=0)
    """Largest norm of the gradient."""
    amsgrad: bool = True
    """AMSGrad variant of Adam."""
    ema: bool = True
    """Exponential moving average of the weights; it is what is evaluated and kept."""
    ema_decay: float = Field(default=0.99, gt=0, lt=1)
    """Decay of that average."""
    start_stage_two: int | None = Field(default=None, ge=1)
    """Epoch from which energies weigh more; MACE's README takes the last fifth. Without it there is no stage two."""
    stage_two_energy_weight: float = Field(default=1000.0, ge=0)
    """``energy_weight`` of stage two."""
    stage_two_forces_weight: float = Field(default=100.0, ge=0)
    """``forces_weight`` of stage two."""
    stage_two_stress_weight: float = Field(default=100.0, ge=0)
    """``stress_weight`` of stage two; MACE's own is 10."""
    stage_two_dipole_weight: float = Field(default=1.0, ge=0)
    """``dipole_weight`` of stage two."""
    stage_two_polarizability_weight: float = Field(default=1.0, ge=0)
    """``polarizability_weight`` of stage two."""
    stage_two_lr: float = Field(default=1e-3, gt=0)
    """Learning rate of stage two."""
    batch_size: int = Field(default=10, ge=1)
    """Structures per step; what is left over of an epoch is not used in it."""
    valid_batch_size: int = Field(default=10, ge=1)
    """Structures per step of the validation."""
    valid_fraction: float = Field(default=0.1, gt=0, lt=0.9)
    """Fraction of the training structures that the checkpoints are chosen by, the same for all members."""
    max_num_epochs: int = Field(default=1500, ge=1)
    """Epochs."""
    dtype: Literal['float32', 'float64'] = 'float64'
    """Precision of training and model; float32 is faster and good for small total energies only."""
    committee: int = Field(default=4, ge=1)
    """Models that differ by their seed; their spread is the uncertainty."""
    max_restarts: int = Field(default=3, ge=0)
    """New starts of one member: from its checkpoint after the walltime, with smaller batches or learning rate."""
    head: HeadName = 'Default'
    """Name of the campaign's own head: letters and digits, joined by single underscores."""
    heads: list[MaceHead] = []
    """Further levels of theory; checkpoints are chosen by the campaign's own head alone."""
    foundation: MaceFoundation | None = None
    """Model to fine-tune."""
    lammps: Literal['none', 'libtorch', 'mliap'] = 'none'
    """Form of the models for LAMMPS to make besides: for ``pair_style mace``, or for ML-IAP (needs cuequivariance)."""
    compiled: bool = False
    """Whether to keep the models as TorchScript besides."""
    baseline: BaselineField = NoneConfig()
    """What is subtracted from the labels of all heads and added to the potential, as a table or a name: "none", "lj",
    "table", or a plugin. MACE has a ZBL repulsion of its own: ``extra = { pair_repulsion = true }``."""
    extra: dict[str, Any] = {}
    """Any other flag of ``mace_run_train``, as ``{ num_radial_basis = 10 }``."""

    def neighbour_cutoff(self) -> float:
        """That of one layer."""
        return self.r_max

    def given_properties(self) -> frozenset[str]:
        """What models of its class give."""
        return model_properties(self.model)

    def given_baseline(self) -> BaselineConfig:
        """The baseline."""
        return self.baseline

    def needed_labels(self) -> frozenset[str]:
        """Dipoles and polarizabilities, where the model learns them."""
        return frozenset(DIPOLE_LABELS.get(self.model, {}))

    @property
    def gives_forces(self) -> bool:
        """Whether the model is a potential; otherwise it predicts dipoles alone."""
        return self.model not in FORCELESS

    @property
    def replay(self) -> bool:
        """Whether old data are trained on as a head of their own."""
        return self.foundation is not None and self.foundation.mode == 'replay'

    @field_validator('extra')
    @classmethod
    def _extra(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for flag in extra:
            advice = RESERVED.get(flag)
            if flag in cls.model_fields:
                advice = f'use the key "{flag}"'
            elif flag in STAGE_TWO_FLAGS or flag.startswith('swa_'):
                advice = f'use the key "{STAGE_TWO_FLAGS.get(flag, flag.replace("swa_", "stage_two_"))}"'
            elif flag.endswith(('_key', '_dir')) or flag.startswith('wandb_'):
                advice = 'is set for every training'
            if advice is not None:
                raise ValueError(f'flag "{flag}" cannot be set here: {advice}')
        return extra

    @model_validator(mode='after')
    def _combination(self) -> MaceTraining:
        names = [self.head, *(head.name for head in self.heads)]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f'heads ("head" included) need names of their own; repeated: {", ".join(repeated)}')
        if PT_HEAD in names:
            raise ValueError(f'the name "{PT_HEAD}" is kept for the replay of a foundation model')
        if self.max_L > self.max_ell:
            raise ValueError(
                f'"max_L" ({self.max_L}) must not be more than "max_ell" ({self.max_ell}): '
                'MACE cannot save such a model'
            )
        if self.baseline.type == 'zbl':
            raise ValueError(
                'baseline = "zbl" is that of ACE; MACE learns beside its own: extra = { pair_repulsion = true }'
            )
        check_reach(self.baseline, 'r_max', self.r_max)
        if self.model in DIPOLE_MODELS:
            self._check_dipole_model()
        if self.replay and self.loss not in (None, 'universal'):
            raise ValueError('replay always has the loss "universal": leave "loss" out')
        if self.start_stage_two is not None:
            if self.start_stage_two >= self.max_num_epochs:
                raise ValueError(
                    f'"start_stage_two" ({self.start_stage_two}) must be less than "max_num_epochs" '
                    f'({self.max_num_epochs})'
                )
            if self.model == 'AtomicDipolesMACE':
                raise ValueError('the model AtomicDipolesMACE has no stage two: leave "start_stage_two" out')
            if self.loss in ('forces_only', 'huber', 'l1l2energyforces'):
                raise ValueError(
                    f'stage two has another loss than "{self.loss}": take "weighted", "stress" or "universal"'
                )
        return self

    def _check_dipole_model(self) -> None:
        if self.loss is not None:
            raise ValueError(f'the model {self.model} has a loss of its own: leave "loss" out')
        if self.baseline.subtracts and not self.gives_forces:
            raise ValueError(f'the model {self.model} has no energies: leave "baseline" out')
        if self.heads:
            raise ValueError(f'the model {self.model} has one head: leave "heads" out')
        if self.foundation is not None:
            raise ValueError(f'the model {self.model} cannot be fine-tuned: leave "foundation" out')
        if self.lammps != 'none':
            raise ValueError(f'the model {self.model} has no form for LAMMPS: set lammps = "none"')
        if self.model == 'AtomicDielectricMACE' and self.max_L < 2:
            raise ValueError('the model AtomicDielectricMACE needs max_L = 2: polarizabilities are of order 2')
