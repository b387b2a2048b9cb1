"""Labels by the pw.x of this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.plugins import CalculationFactory
from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain
from ase import Atoms

from aiida_traincraft.calculations.pw_inputs import structure_parameters
from aiida_traincraft.calculations.pw_outcome import core_seconds
from aiida_traincraft.calculations.pw_setup import common_parameters, find_pseudos, per_atom_thresholds, pw_base_inputs
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.provenance.dft import calculation_of, describe_calculation
from aiida_traincraft.science.config.labelling.quantumespresso import QuantumEspressoLabelling
from aiida_traincraft.science.structure import Structure

pytestmark = pytest.mark.slow

JOBS = ('quantumespresso.pw', 'traincraft.pw_batch', 'traincraft.pw_version')


def count_jobs() -> dict[str, int]:
    """Number of jobs of pw.x in the database, by entry point."""
    return {
        name: orm.QueryBuilder().append(orm.CalcJobNode, filters={'process_type': f'aiida.calculations:{name}'}).count()
        for name in JOBS
    }


def labels(node: orm.WorkChainNode) -> list[Any]:
    return [orm.load_node(row.label) for row in node.outputs.ledger.rows]


@pytest.fixture(scope='module')
def frames(silicon_frames) -> list[Structure]:
    """Three cells and an isolated atom."""
    return [*silicon_frames[:3], Structure(Atoms('Si', pbc=False), provenance={'system': 'isolated_atom'})]


@pytest.fixture(scope='module')
def level(fresh_level) -> dict[str, float]:
    return fresh_level()


@pytest.fixture(scope='module')
def alone(label_by_pw, pw_code, frames, level) -> orm.WorkChainNode:
    """Each structure by itself."""
    node = label_by_pw(pw_code, frames, **level)
    assert node.is_finished_ok, node.exit_message
    return node


@pytest.fixture(scope='module')
def by_batch(label_by_pw, pw_code, frames, fresh_level) -> orm.WorkChainNode:
    """The three cells in one job."""
    node = label_by_pw(pw_code, frames, batch_size=3, concurrent=2, **fresh_level())
    assert node.is_finished_ok, node.exit_message
    return node


def test_the_route_is_not_seen_in_the_labels(alone, by_batch, frames):
    for node in (alone, by_batch):
        rows = node.outputs.ledger.rows
        assert [(row.status, row.tries, row.reason, row.detail) for row in rows] == [('ok', 1, None, None)] * 4
        assert all(orm.load_node(row.process).is_finished_ok for row in rows)
        assert node.outputs.manifest.uuids == [row.label for row in rows]
        assert len({label.level_of_theory for label in labels(node)}) == 1
        found = [label.get_structure() for label in labels(node)]
        assert [structure.content_hash() for structure in found] == [frame.content_hash() for frame in frames]
        assert [structure.provenance['system'] for structure in found] == ['silicon'] * 3 + ['isolated_atom']
    for one, other in zip(labels(alone), labels(by_batch), strict=True):
        assert one.energy == pytest.approx(other.energy, abs=1e-6)
        np.testing.assert_allclose(one.forces, other.forces, atol=1e-5)
        first, second = one.get_structure(), other.get_structure()
        assert first.provenance['kpoints'] == second.provenance['kpoints']
        assert first.provenance.keys() == second.provenance.keys()
        assert first.properties.keys() == second.properties.keys()
        if 'stress' in first.properties:
            np.testing.assert_allclose(first.properties['stress'], second.properties['stress'], atol=1e-6)
    batches = [node for node in by_batch.called if node.process_type.endswith('pw_batch')]
    assert [len(job.inputs.structures) for job in batches] == [3]
    assert not [node for node in alone.called_descendants if node.process_type.endswith('pw_batch')]


def test_every_label_has_its_cost(alone, by_batch):
    for node in (alone, by_batch):
        ledger = node.outputs.ledger
        assert all(0 < row.core_seconds < 300 for row in ledger.rows)
        assert ledger.core_seconds == pytest.approx(sum(row.core_seconds for row in ledger.rows))
        assert [formula for formula, _ in ledger.label_costs()] == ['Si2', 'Si2', 'Si2', 'Si']
    for row in alone.outputs.ledger.rows[:3]:
        assert row.core_seconds == orm.load_node(row.process).outputs.output_parameters['wall_time_seconds']
    report = orm.load_node(by_batch.outputs.ledger.rows[0].process).outputs.report
    assert [row.core_seconds for row in by_batch.outputs.ledger.rows[:3]] == [r['seconds'] for r in report['rows']]


def test_a_label_is_queried_by_its_mesh_and_level(alone):
    *cells, atom = labels(alone)
    for label in cells:
        mesh = label.base.attributes.get('kpoints')
        assert len(mesh) == 3
        # 2 pi / a = 2.0 / Å along the shortest reciprocal vectors, in steps of 0.6.
        assert all(3 <= divisions <= 5 for divisions in mesh)
        assert 'stress' in label.base.attributes.get('properties')
    assert atom.base.attributes.get('kpoints') == [1, 1, 1]
    assert atom.base.attributes.get('properties') == ['energy', 'forces']
    level = orm.QueryBuilder().append(orm.Data, filters={'label': atom.level_of_theory}).one()[0]
    assert level.content['ecutwfc_ry'] == 12.0
    assert level.content['functional'] == ['PZ']
    assert level.content['code'].startswith('pw.x ')


@pytest.mark.parametrize('route', ['alone', 'by_batch'])
def test_one_query_from_a_label_to_its_calculation(request, route, pseudo_family, pw_code):
    silicon = pseudo_family.get_pseudo('Si')
    rows = request.getfixturevalue(route).outputs.ledger.rows
    expected = {'alone': 'PwCalculation', 'by_batch': 'PwBatchCalculation'}[route]
    for row, process in zip(rows, [expected] * 3 + ['PwCalculation'], strict=True):
        label = orm.load_node(row.label)
        ((mesh, job, code, element, md5, filename, ecutwfc, ecutrho),) = calculation_of(row.label).all()
        assert mesh == label.base.attributes.get('kpoints')
        assert job.process_label == process
        assert code.uuid == pw_code.uuid
        assert (element, md5, filename) == ('Si', silicon.md5, silicon.filename)
        assert (ecutwfc, ecutrho) == (12.0, 48.0)
        first, second = describe_calculation(label)
        assert first.startswith(f'{process}<{job.pk}> with code {pw_code.full_label}: cutoffs 12 and 48 Ry')
        assert silicon.md5 in second


def test_nothing_is_calculated_twice(alone, by_batch, label_by_pw, pw_code, frames, level):
    before = count_jobs()
    for keys in ({}, {'batch_size': 2}):
        again = label_by_pw(pw_code, frames, **keys, **level)
        assert again.is_finished_ok, again.exit_message
        assert [(row.status, row.tries) for row in again.outputs.ledger.rows] == [('reused', 0)] * 4
        assert again.outputs.manifest.uuids == alone.outputs.manifest.uuids
        assert {row.core_seconds for row in again.outputs.ledger.rows} == {None}
        assert again.outputs.ledger.core_seconds == 0.0
    assert count_jobs() == before


def test_another_cutoff_is_another_level(alone, label_by_pw, pw_code, frames, level):
    before = count_jobs()
    node = label_by_pw(pw_code, frames[:1], ecutwfc=13.0, ecutrho=52.0, **level)
    (row,) = node.outputs.ledger.rows
    assert row.status == 'ok'
    found, old = orm.load_node(row.label), labels(alone)[0]
    assert found.level_of_theory != old.level_of_theory
    assert found.energy != pytest.approx(old.energy, abs=1e-3)
    assert count_jobs() == before | {'quantumespresso.pw': before['quantumespresso.pw'] + 1}


def test_a_stricter_limit_refuses_a_label_that_exists(alone, label_by_pw, pw_code, frames, level):
    before = count_jobs()
    forces = [label.max_force for label in labels(alone)[:3]]
    limit = float(np.mean(sorted(forces)[1:]))
    node = label_by_pw(pw_code, frames[:3], max_force=limit, **level)
    rows = node.outputs.ledger.rows
    assert [row.reason for row in rows] == ['force too large' if force > limit else None for force in forces]
    assert count_jobs() == before


@pytest.fixture(scope='module')
def run_base(pw_code, pseudo_family, silicon_content) -> Callable[..., orm.WorkChainNode]:
    """Function that runs a PwBaseWorkChain as the labeller does."""

    def run(structure: TrainingStructureData, **keys: Any) -> orm.WorkChainNode:
        content = silicon_content(**keys)['labelling'] | {'conv_thr_per_atom': 1e-9, 'degauss': 0.02}
        section = QuantumEspressoLabelling.model_validate(content)
        pseudos = find_pseudos(pseudo_family, structure.elements)
        parameters = structure_parameters(
            common_parameters(section, pseudos), per_atom_thresholds(section), structure, pseudos
        )
        options = {
            'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1},
            'max_wallclock_seconds': 300,
        }
        return run_get_node(PwBaseWorkChain, pw_base_inputs(section, pw_code, structure, options, parameters))[1]

    return run


def test_an_identical_calculation_comes_from_the_cache(run_base, silicon_frames):
    first, second = (TrainingStructureData(silicon_frames[3]).store() for _ in range(2))
    (original,) = [job for job in run_base(first).called if isinstance(job, orm.CalcJobNode)]
    with enable_caching(identifier='aiida.calculations:quantumespresso.pw'):
        copied = run_base(second)
    (job,) = [job for job in copied.called if isinstance(job, orm.CalcJobNode)]
    assert copied.is_finished_ok
    assert job.base.caching.is_created_from_cache
    assert job.base.caching.get_cache_source() == original.uuid
    assert core_seconds([original]) == original.outputs.output_parameters['wall_time_seconds'] > 0
    assert core_seconds([job]) == 0.0


def test_a_failed_calculation_does_not_come_from_the_cache(label_by_pw, pw_code, silicon_frames, fresh_level):
    keys = {'parameters': {'ELECTRONS': {'electron_maxstep': 1}}, 'max_iterations': 1} | fresh_level()
    pw = CalculationFactory('quantumespresso.pw')
    for _ in range(2):
        with enable_caching(identifier='aiida.calculations:quantumespresso.pw'):
            node = label_by_pw(pw_code, silicon_frames[4:5], **keys)
        (row,) = node.outputs.ledger.rows
        assert row.reason == 'SCF not converged'
        jobs = [job for job in node.called_descendants if job.process_class is pw]
        assert len(jobs) == 1
        assert not jobs[0].base.caching.is_created_from_cache
        assert not jobs[0].base.caching.is_valid_cache
