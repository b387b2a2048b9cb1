"""The energy of an isolated atom, E0, by pw.x."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode, ToContext, calcfunction, while_
from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain
from ase import Atoms

from aiida_traincraft.calculations.functions.labels import make_label
from aiida_traincraft.calculations.pw_inputs import structure_parameters
from aiida_traincraft.calculations.pw_outcome import run_refusal
from aiida_traincraft.calculations.pw_setup import (
    ATOM_SMEARING,
    common_parameters,
    find_family,
    find_pseudos,
    per_atom_thresholds,
    pw_base_inputs,
    resolve,
)
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.science.atoms.moments import ground_moment
from aiida_traincraft.science.config.labelling.quantumespresso import QuantumEspressoLabelling
from aiida_traincraft.science.labelling.quantumespresso import Refusal
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.workchains.base import TraincraftWorkChain

# Three different edges (Å): a cube would let degenerate orbitals hop between its axes and the SCF never settle.
EDGES = (0.0, 0.15, 0.3)
MOMENT_TOLERANCE = 0.1
"""Difference from the moment of the ground level (Bohr magnetons) that is tolerated."""


@calcfunction
def put_in_box(structure: TrainingStructureData, edge: orm.Float) -> TrainingStructureData:
    """Put an isolated atom into a periodic box whose shortest edge is given (Å)."""
    frame = structure.get_structure()
    cell = [edge.value + extra for extra in EDGES]
    atoms = Atoms(frame.atoms.get_chemical_symbols(), [np.array(cell) / 2], cell=cell, pbc=True)
    return TrainingStructureData(Structure(atoms, provenance=frame.provenance))


class IsolatedAtomWorkChain(TraincraftWorkChain):
    """Calculate an atom with the magnetic moment of its ground level: that of Hund's rules, nearly always.

    Fixing the moment (``tot_magnetization``) comes first: an SCF that starts from a moment may lock in a wrong one and
    end well. It cannot be done where no electron of the minority spin is left (hydrogen): there the moment is only
    started from. Either way the moment in the end must be Hund's.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define ports, outline and exit codes."""
        super().define(spec)
        spec.input('structure', valid_type=TrainingStructureData, help='One atom, not periodic.')
        spec.input('level_of_theory', valid_type=LevelOfTheoryData, help='What its label is made with.')
        spec.input('version', valid_type=orm.Str, help='Version of pw.x.')
        spec.output('label', valid_type=LabelData, help='Its energy; the forces are zero.')
        spec.outline(cls.prepare, while_(cls.has_recipes)(cls.run_recipe, cls.inspect_recipe), cls.results)
        spec.exit_code(410, 'ERROR_NOT_CONVERGED', message='{reason}')

    def prepare(self) -> None:
        """Put the atom into its box and write down what to try."""
        self.ctx.element = self.inputs.structure.elements[0]
        section = self._resolved()
        boxed = self.call_once('box', put_in_box, structure=self.inputs.structure, edge=orm.Float(section.atom_box))
        self.ctx.boxed = boxed.uuid
        self.ctx.recipes = ['fixed_moment', 'free_moment'] if self._moment() else ['fixed_moment']
        self.ctx.reasons = []

    def has_recipes(self) -> bool:
        """Whether there is no label yet and something left to try."""
        return 'run' not in self.ctx and bool(self.ctx.recipes)

    def run_recipe(self) -> ToContext:
        """Start pw.x."""
        section, recipe = self._resolved(), self.ctx.recipes[0]
        boxed = orm.load_node(self.ctx.boxed)
        pseudos = find_pseudos(find_family(section.pseudo_family), [self.ctx.element])
        common = common_parameters(section, pseudos)
        common['SYSTEM'] |= {'occupations': 'smearing', 'nosym': True, 'nspin': 2, **ATOM_SMEARING}
        common['SYSTEM'].pop('starting_magnetization', None)
        if recipe == 'fixed_moment':
            common['SYSTEM']['tot_magnetization'] = self._moment()
        else:
            common['SYSTEM']['starting_magnetization'] = {self.ctx.element: 1.0}
        # Atoms converge slowly; what the user sets holds for them too.
        common['ELECTRONS'] |= {'mixing_beta': 0.3, 'electron_maxstep': 150, **section.parameters.get('ELECTRONS', {})}
        parameters = structure_parameters(common, per_atom_thresholds(section), boxed, pseudos)
        gamma = orm.KpointsData()
        gamma.set_kpoints_mesh([1, 1, 1])
        inputs = pw_base_inputs(section, self.inputs.codes['pw'], boxed, self.job_options('pw'), parameters, gamma)
        return ToContext(attempt=self.submit_once(recipe, PwBaseWorkChain, inputs))

    def inspect_recipe(self) -> None:
        """Take the result, or go on with the next recipe."""
        recipe = self.ctx.recipes.pop(0)
        refused, jobs = run_refusal(self._resolved(), self.ctx.attempt, self.inputs.version.value, periodic=False)
        if refused is None:
            moment = self.ctx.attempt.outputs.output_parameters.get('total_magnetization', 0.0)
            if abs(abs(moment) - self._moment()) > MOMENT_TOLERANCE:
                refused = Refusal('wrong moment', f"{moment:.2f} instead of Hund's {self._moment():g} Bohr magnetons")
        if refused is None:
            self.ctx.run = self.ctx.attempt.uuid
            return
        for job in jobs:
            job.base.caching.is_valid_cache = False
        self.ctx.reasons.append(f'{recipe}: {refused.reason} ({refused.detail})')
        self.report(f'{self.ctx.element}, {self.ctx.reasons[-1]}')

    def results(self) -> ExitCode | None:
        """Make the label."""
        if 'run' not in self.ctx:
            code: ExitCode = self.exit_codes.ERROR_NOT_CONVERGED
            return code.format(reason='; '.join(self.ctx.reasons))
        run = orm.load_node(self.ctx.run)
        label = self.call_once(
            'label',
            make_label,
            structure=self.inputs.structure,
            level_of_theory=self.inputs.level_of_theory,
            parameters=run.outputs.output_parameters,
            trajectory=run.outputs.output_trajectory,
            kpoints=run.inputs.kpoints,
        )
        self.out('label', label)
        return None

    def _moment(self) -> float:
        return ground_moment(self.ctx.element)

    def _resolved(self) -> QuantumEspressoLabelling:
        section = self.config.labelling
        assert isinstance(section, QuantumEspressoLabelling)
        return resolve(section, [self.ctx.element])
