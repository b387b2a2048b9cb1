"""MACE as an ASE calculator: one model, or a committee whose spread of forces is the uncertainty."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from aiida_traincraft.science.atoms.arrays import BoolArray, FloatArray
from aiida_traincraft.science.models.cells import check_species, prepare_atoms
from aiida_traincraft.science.models.mace_file import load_model

BATCH_ATOMS = 128
"""Atoms that share one call of a model: small cells gain, and a batch takes no more memory than one large cell."""


_ENERGY = ('energy', 'free_energy', 'forces', 'stress')


_PROPERTIES: dict[str, tuple[str, ...]] = {
    'MACE': _ENERGY,
    'ScaleShiftMACE': _ENERGY,
    'EnergyDipolesMACE': (*_ENERGY, 'dipole'),
    'AtomicDipolesMACE': ('dipole',),
    'AtomicDielectricMACE': ('dipole', 'polarizability'),
}
"""Properties of the classes of models."""


class MaceCalculator(Calculator):  # type: ignore[misc]
    """MACE on the absolute scale of energies; its numbers are those of MACE's own calculator.

    Parameters
    ----------
    paths
        Trained models (``.model``); more than one make a committee.
    head
        Head of a multi-head model; may be None where there is only one.
    device
        torch's name of the device.
    driver
        Whose energy, forces and stress a committee has: ``mean`` of all members, or ``first``, with which only the
        first member is evaluated as long as no uncertainty is asked for.
    elements
        Those that the head knows, if not all of the model: of an element that its data lack, a head has no energy.

    Raises
    ------
    ValueError
        If a file is absent or no MACE model, the members do not belong together, or the head is unknown or missing.
    ModuleNotFoundError
        If mace-torch is not installed.

    Notes
    -----
    ``implemented_properties`` are those of the models' class; models of dipoles (e·Å) and polarizabilities (Å³) have no
    energy. ``stress`` (eV/Å³, ASE's sign) is given for three periodic directions.

    With ``with_uncertainty`` set, a committee's results hold ``uncertainty`` (n_atoms,), the spread of the forces in
    eV/Å: the square root of the members' population variance, summed over x, y and z; and ``energy_spread``, the
    population standard deviation of the energy per atom (eV). An atom with no neighbour within the cutoff has an
    infinite spread: its forces are zero for every member, however little they know of it.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        head: str | None = None,
        device: str = 'cpu',
        driver: Literal['mean', 'first'] = 'mean',
        elements: Collection[str] | None = None,
    ) -> None:
        super().__init__()
        models = [_load(path) for path in paths]
        traits = _traits(models[0])
        for path, model in zip(paths, models, strict=True):
            if _traits(model) != traits:
                raise ValueError(f'{path.name} and {paths[0].name} differ in class, elements, heads, cutoff or dtype')
        name, heads, numbers, self.cutoff, self._dtype = traits
        # Classes without heads are trained under one that they forget.
        self._heads = heads or ['Default']
        self._head = self._heads[0] if head is None or heads is None else head
        if self._head not in self._heads or (head is None and len(self._heads) > 1):
            raise ValueError(f'{f"there is no head {head!r}" if head else "name the head"}: the model has {heads}')
        self.implemented_properties = list(_PROPERTIES[name])
        self.numbers = dict(sorted(zip(Atoms(numbers).get_chemical_symbols(), numbers, strict=True)))
        self._known = self.elements if elements is None else elements
        self.driver = driver
        self._with_uncertainty = False
        from mace.tools.torch_tools import init_device
        from mace.tools.utils import AtomicNumberTable

        self._device, self._table = init_device(device), AtomicNumberTable(numbers)
        self._models = [model.to(self._device).requires_grad_(False) for model in models]

    @property
    def elements(self) -> list[str]:
        """Elements of the potential, alphabetical."""
        return list(self.numbers)

    @property
    def uncertainty(self) -> str | None:
        """``spread`` for a committee whose members have forces, else None."""
        return 'spread' if len(self._models) > 1 and 'forces' in self.implemented_properties else None

    @property
    def with_uncertainty(self) -> bool:
        """Whether the next evaluation writes the spread of the forces; it needs a committee."""
        return self._with_uncertainty

    @with_uncertainty.setter
    def with_uncertainty(self, value: bool) -> None:
        if value:
            if self.uncertainty is None:
                raise ValueError('the spread of the forces needs a committee: two or more models that have forces')
            if 'uncertainty' not in self.results:
                self.reset()
        self._with_uncertainty = value

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Evaluate all properties of the atoms.

        Raises
        ------
        ValueError
            If the atoms are of unknown elements or cannot be evaluated (see :func:`prepare_atoms`).
        """
        super().calculate(atoms, properties or ['energy'], system_changes)
        (self.results,) = self._evaluate([self.atoms])

    def calculate_many(self, structures: Sequence[Atoms]) -> Iterator[dict[str, Any] | Exception]:
        """Results of each of many structures in order, or why there are none; in batches of small structures."""
        for batch in _batches(structures):
            try:
                yield from self._evaluate(batch)
            except Exception as error:
                if len(batch) == 1:
                    yield error
                else:
                    for atoms in batch:
                        yield from self.calculate_many([atoms])

    def descriptor(self, atoms: Atoms) -> FloatArray:
        """Structure vector: for each element of the potential, its atoms' mean invariant features (zeros if absent).

        The features are those of the first member, the layers one after the other.
        """
        from e3nn.o3 import Irreps

        layers: list[FloatArray] = []
        hooks = []
        for product in self._models[0].products:
            scalars = Irreps(str(product.linear.irreps_out)).count('0e')

            def keep(module: Any, inputs: Any, output: Any, scalars: int = scalars) -> None:
                layers.append(_array(output[:, :scalars]))

            hooks.append(product.register_forward_hook(keep))
        try:
            self._call(self._models[0], self._graphs([self._prepare(atoms)]))
        finally:
            for hook in hooks:
                hook.remove()
        features = np.concatenate(layers, axis=1)
        means = [
            features[atoms.numbers == number].mean(axis=0) if number in atoms.numbers else np.zeros(features.shape[1])
            for number in self.numbers.values()
        ]
        return np.asarray(np.concatenate(means), dtype=float)

    def _prepare(self, atoms: Atoms) -> Atoms:
        check_species(atoms, self.elements)
        if unknown := sorted(set(atoms.get_chemical_symbols()).difference(self._known)):
            raise ValueError(
                f'head "{self._head}" of the potential has no {", ".join(unknown)}; it knows '
                f'{", ".join(sorted(self._known))}'
            )
        return prepare_atoms(atoms, self.cutoff)

    def _graphs(self, structures: Sequence[Atoms]) -> Any:
        """One graph of all structures, as MACE makes it."""
        from mace.data import AtomicData, config_from_atoms
        from mace.tools.torch_geometric import Batch
        from mace.tools.torch_tools import default_dtype

        with default_dtype(self._dtype):
            graphs = [
                AtomicData.from_config(
                    config_from_atoms(atoms, head_name=self._head),
                    z_table=self._table,
                    cutoff=self.cutoff,
                    heads=self._heads,
                )
                for atoms in structures
            ]
        return Batch.from_data_list(graphs).to(self._device)

    def _call(self, model: Any, graphs: Any) -> dict[str, FloatArray]:
        # A model changes what it is given.
        output = model(graphs.clone().to_dict(), compute_stress='stress' in self.implemented_properties)
        return {name: _array(output[name]) for name in self.implemented_properties if name in output}

    def _evaluate(self, structures: Sequence[Atoms]) -> list[dict[str, Any]]:
        """Results of structures that are evaluated together."""
        graphs = self._graphs([self._prepare(atoms) for atoms in structures])
        members = self._models if self._with_uncertainty or self.driver == 'mean' else self._models[:1]
        outputs = [self._call(model, graphs) for model in members]
        stacks = {name: np.stack([output[name] for output in outputs]) for name in outputs[0]}
        ends = np.cumsum([len(atoms) for atoms in structures])
        connected = np.isin(np.arange(ends[-1]), graphs.edge_index[0].cpu().numpy())
        found = []
        for index, (atoms, end) in enumerate(zip(structures, ends, strict=True)):
            rows = slice(end - len(atoms), end)
            # (n_members, ...) of this structure.
            own = {name: stack[:, rows] if name == 'forces' else stack[:, index] for name, stack in stacks.items()}
            found.append(self._results(atoms, own, connected[rows]))
        return found

    def _results(self, atoms: Atoms, members: dict[str, FloatArray], connected: BoolArray) -> dict[str, Any]:
        chosen = {name: v[0] if self.driver == 'first' else v.mean(axis=0) for name, v in members.items()}
        results: dict[str, Any] = dict(chosen)
        if 'energy' in results:
            results['energy'] = results['free_energy'] = float(chosen['energy'])
        if 'stress' in results:
            results['stress'] = full_3x3_to_voigt_6_stress(chosen['stress'])
            if not atoms.pbc.all():
                del results['stress']
        if self._with_uncertainty:
            spread = np.sqrt(members['forces'].var(axis=0).sum(axis=1))
            results['uncertainty'] = np.where(connected, spread, np.inf)
            results['energy_spread'] = float(members['energy'].std()) / len(atoms)
        return results


def _batches(structures: Sequence[Atoms]) -> Iterator[list[Atoms]]:
    batch: list[Atoms] = []
    for atoms in structures:
        if batch and sum(map(len, batch)) + len(atoms) > BATCH_ATOMS:
            yield batch
            batch = []
        batch.append(atoms)
    if batch:
        yield batch


def _array(tensor: Any) -> FloatArray:
    return np.asarray(tensor.detach().cpu().numpy(), dtype=float)


def _load(path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f'model {path} does not exist')
    model = load_model(path)
    if type(model).__name__ not in _PROPERTIES:
        raise ValueError(f'{path.name} holds a {type(model).__name__}; known are {", ".join(_PROPERTIES)}')
    return model


def _traits(model: Any) -> tuple[str, list[str] | None, list[int], float, Any]:
    """What members share: class, heads (None where the class has none), atomic numbers, cutoff (Å), dtype."""
    heads = getattr(model, 'heads', None)
    return (
        type(model).__name__,
        None if heads is None else list(heads),
        [int(number) for number in model.atomic_numbers],
        float(model.r_max),
        next(model.parameters()).dtype,
    )
