"""Energies of isolated atoms by the pw.x of this machine."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from ase import Atoms

from aiida_traincraft.data.dataset import isolated_atom_energies
from aiida_traincraft.science.structure import Structure
from aiida_traincraft.workchains.isolated_atom import IsolatedAtomWorkChain

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def atoms() -> list[Structure]:
    """A silicon atom and a hydrogen atom, without a cell."""
    return [Structure(Atoms(element, pbc=False), provenance={'system': 'isolated_atom'}) for element in ('Si', 'H')]


@pytest.fixture(scope='module')
def level(fresh_level) -> dict[str, float]:
    return fresh_level()


@pytest.fixture(scope='module')
def labelled(label_by_pw, pw_code, atoms, level) -> orm.WorkChainNode:
    node = label_by_pw(pw_code, atoms, **level)
    assert node.is_finished_ok, node.exit_message
    return node


def recipes(node: orm.WorkChainNode, element: str) -> dict[str, orm.WorkChainNode]:
    """Runs of pw.x for an atom, by recipe."""
    (atom,) = [
        child
        for child in node.called
        if child.process_class is IsolatedAtomWorkChain and child.inputs.structure.elements == [element]
    ]
    links = atom.base.links.get_outgoing(orm.WorkChainNode).all()
    return {link.link_label: link.node for link in links}


def label_of(node: orm.WorkChainNode, element: str) -> tuple[Structure, float]:
    """Labelled atom and its magnetic moment (Bohr magnetons)."""
    (label,) = [
        label
        for label in map(orm.load_node, node.outputs.manifest.uuids)
        if label.get_structure().elements == [element]
    ]
    frame = label.get_structure()
    return frame, frame.provenance['total_magnetization']


def test_a_moment_that_can_be_fixed(labelled):
    frame, moment = label_of(labelled, 'Si')
    assert moment == pytest.approx(2.0, abs=0.01)
    assert frame.properties['energy'] == pytest.approx(-102.3, abs=0.3)
    runs = recipes(labelled, 'Si')
    assert list(runs) == ['fixed_moment']
    (job,) = [job for job in runs['fixed_moment'].called if isinstance(job, orm.CalcJobNode)]
    system = job.inputs.parameters['SYSTEM']
    assert system['tot_magnetization'] == 2.0
    assert 'starting_magnetization' not in system
    assert system['ecutwfc'] == 12.0
    assert job.inputs.settings['gamma_only'] is True
    np.testing.assert_allclose(job.inputs.structure.cell, np.diag([9.0, 9.15, 9.3]))


def test_hydrogen_has_no_electron_of_the_other_spin(labelled, pseudo_family):
    frame, moment = label_of(labelled, 'H')
    assert moment == pytest.approx(1.0, abs=0.01)
    # At this cutoff; -12.9 eV at 30 Ry, and 0.8 eV higher without spin polarisation.
    assert frame.properties['energy'] == pytest.approx(-12.49, abs=0.05)
    runs = recipes(labelled, 'H')
    assert sorted(runs) == ['fixed_moment', 'free_moment']
    assert not runs['fixed_moment'].is_finished_ok
    assert runs['free_moment'].is_finished_ok
    failed = [job for job in runs['fixed_moment'].called if isinstance(job, orm.CalcJobNode)]
    assert failed
    assert not any(job.base.caching.is_valid_cache for job in failed)


def test_a_first_try_is_no_failure(labelled):
    silicon, hydrogen = labelled.outputs.ledger.rows
    assert [row.status for row in (silicon, hydrogen)] == ['ok', 'recovered']
    assert silicon.tries == 1
    assert hydrogen.tries == 2
    assert labelled.outputs.ledger.counts['failed'] == 0


def test_the_label_is_that_of_the_atom_without_a_box(labelled, atoms):
    for atom, element in zip(atoms, ('Si', 'H'), strict=True):
        frame, _ = label_of(labelled, element)
        assert frame.content_hash() == atom.content_hash()
        assert not frame.atoms.pbc.any()
        assert frame.provenance['system'] == 'isolated_atom'
        assert frame.provenance['kpoints'] == [1, 1, 1]
        assert 'stress' not in frame.properties
        np.testing.assert_allclose(frame.properties['forces'], 0.0, atol=1e-3)


def test_it_is_the_energy_that_binding_energies_are_measured_from(labelled):
    frames = [label_of(labelled, element)[0] for element in ('Si', 'H')]
    energies = isolated_atom_energies(frames)
    assert energies == {'Si': frames[0].properties['energy'], 'H': frames[1].properties['energy']}


def test_it_is_found_again(labelled, label_by_pw, pw_code, atoms, level):
    again = label_by_pw(pw_code, atoms, **level)
    assert [row.status for row in again.outputs.ledger.rows] == ['reused', 'reused']
    assert again.outputs.manifest.uuids == labelled.outputs.manifest.uuids
    assert not [child for child in again.called_descendants if isinstance(child, orm.CalcJobNode)]


def test_an_atom_without_a_label_is_a_row_with_every_try(label_by_pw, pw_code, atoms, fresh_level):
    node = label_by_pw(pw_code, atoms[:1], seconds=1, atom_box=16.0, max_iterations=1, **fresh_level())
    (row,) = node.outputs.ledger.rows
    assert row.status == 'failed'
    assert row.reason == 'walltime'
    assert row.detail.startswith('fixed_moment: walltime (')
    assert 'free_moment: walltime (' in row.detail
    assert row.tries == 2
