"""The explorer seam ``traincraft.explore.<type>``: its ports, and what an explorer is asked."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from aiida import orm

from aiida_traincraft.data.calibration import CalibrationData
from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.frames.pool import FramesData
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.science.config.kinds import ExplorerConfig
from aiida_traincraft.workchains.seams.base import Seam, hooks_of

Exploration = TypeVar('Exploration', bound=ExplorerConfig)

# A degenerate active set gives γ of 1e5 and more in any crystal: the physical guards end such runs, not γ.
NO_HALT = 1e300


def define_explore_ports(spec: Any) -> None:
    """Define the ports of an explorer's WorkChain."""
    spec.input('potential', valid_type=PotentialData, help='Potential that drives the exploration.')
    spec.input('dataset', valid_type=DatasetData, help='What it was trained on: starting structures come from here.')
    spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of the exploration.')
    spec.input(
        'calibration', valid_type=CalibrationData, required=False, help='What its uncertainty says of force errors.'
    )
    spec.output_namespace('frames', valid_type=FramesData, dynamic=True, help='Candidates, one node per job.')
    spec.output_namespace('summaries', valid_type=orm.Dict, dynamic=True, help='How the runs of each job ended.')


def thresholds(
    exploration: ExplorerConfig, potential: PotentialData, calibration: CalibrationData | None = None
) -> tuple[float, float] | None:
    """Uncertainty above which a frame is a candidate, and above which a run halts; None if the potential has none.

    Those of a calibration that found some, else those of the config.
    """
    if potential.measure is None:
        return None
    if potential.is_degenerate:
        # γ of a degenerate active set says nothing: every frame passes, diversity decides.
        return 0.0, NO_HALT
    if calibration is not None and calibration.thresholds is not None:
        return calibration.thresholds
    return exploration.thresholds(potential.measure)


class Explorer(Seam[Exploration]):
    """Hooks of an explorer."""

    prefix: ClassVar[str] = 'explore'


def explorer_of(section: ExplorerConfig, place: str = 'exploration') -> Explorer[Any]:
    """Hooks of the explorer that a section stands for."""
    hooks: Explorer[Any] = hooks_of(Explorer.prefix, section, place)
    return hooks
