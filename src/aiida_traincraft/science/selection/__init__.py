"""Selection: which candidates are worth a label (docs/decisions/selection.md)."""

from aiida_traincraft.science.selection.funnel import FunnelResult, apply_funnel, run_funnel
from aiida_traincraft.science.selection.pool import FunnelContext, PickConfig, Pool, StageResult

__all__ = ['FunnelContext', 'FunnelResult', 'PickConfig', 'Pool', 'StageResult', 'apply_funnel', 'run_funnel']
