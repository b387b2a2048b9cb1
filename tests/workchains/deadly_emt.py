"""A plugin file: EMT that does something to its own process where a cell is too large."""

from __future__ import annotations

import os
import signal
import time
from typing import Literal

from ase.calculators.emt import EMT

from aiida_traincraft.science.config.kinds import CalculatorConfig
from aiida_traincraft.science.registry import register

DEEDS = {
    'exit': lambda: os._exit(3),
    'abort': os.abort,
    'kill': lambda: os.kill(os.getpid(), signal.SIGKILL),
    'hang': lambda: time.sleep(1000),
}


class DeadlyConfig(CalculatorConfig):
    """EMT and a deed."""

    type: Literal['deadly_emt'] = 'deadly_emt'
    deed: str
    largest: float
    """Volume (Å³) above which it is done."""


class Deadly(EMT):
    """EMT that ends its process."""

    def __init__(self, config):
        super().__init__()
        self.config = config

    def calculate(self, atoms=None, *args, **kwargs):
        if atoms.get_volume() > self.config.largest:
            DEEDS[self.config.deed]()
        super().calculate(atoms, *args, **kwargs)


@register('calculator', 'deadly_emt', DeadlyConfig)
def make_deadly(config: DeadlyConfig) -> Deadly:
    """EMT that ends its process where a cell is too large."""
    return Deadly(config)
