"""From recorded outputs of pw.x, through the parser of aiida-quantumespresso, to labels; no pw.x is needed."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida_quantumespresso.parsers.pw import PwParser
from ase.units import Bohr, Ry

from aiida_traincraft.calculations.functions.labels import collect_labels, make_label
from aiida_traincraft.data.frames.label import LabelData
from aiida_traincraft.data.frames.structure import TrainingStructureData
from aiida_traincraft.data.level_of_theory import LevelOfTheoryData
from aiida_traincraft.provenance.dft import calculation_of, describe_calculation
from aiida_traincraft.science.structure import read_extxyz

RECORDED = Path(__file__).parents[2] / 'recorded' / 'pw'
FILES = ('aiida.out', 'CRASH')
XML = 'data-file-schema.xml'
KBAR = 1e8 / 1.602176634e-19 * 1e-30
"""eV/Å³."""


@pytest.fixture
def parsed(localhost) -> Callable[..., tuple[orm.CalcJobNode, TrainingStructureData, dict[str, Any]]]:
    """Function that gives a recorded job, its structure and what the parser makes of it, all stored."""

    def run(case: str, **system: Any) -> tuple[orm.CalcJobNode, TrainingStructureData, dict[str, Any]]:
        (frame,) = read_extxyz(RECORDED / case / 'structure.extxyz')
        mesh = re.search(r'K_POINTS automatic\n(\d+) (\d+) (\d+)', (RECORDED / case / 'aiida.in').read_text())
        kpoints = orm.KpointsData()
        kpoints.set_kpoints_mesh([int(number) for number in mesh.groups()])
        parameters = {'CONTROL': {'calculation': 'scf'}, 'SYSTEM': {'ecutwfc': 12.0, 'ecutrho': 48.0} | system}
        inputs = {
            'structure': TrainingStructureData(frame),
            'parameters': orm.Dict(parameters),
            'kpoints': kpoints,
        }
        job = orm.CalcJobNode(computer=localhost, process_type='aiida.calculations:quantumespresso.pw')
        job.set_option('output_filename', 'aiida.out')
        for label, node in inputs.items():
            job.base.links.add_incoming(node.store(), LinkType.INPUT_CALC, label)
        job.store()
        retrieved = orm.FolderData()
        for name in FILES:
            if (RECORDED / case / name).exists():
                retrieved.base.repository.put_object_from_file(str(RECORDED / case / name), name)
        packed = RECORDED / case / f'{XML}.gz'
        retrieved.base.repository.put_object_from_bytes(gzip.decompress(packed.read_bytes()), XML)
        retrieved.base.links.add_incoming(job, LinkType.CREATE, 'retrieved')
        retrieved.store()
        parser = PwParser(job)
        assert parser.parse() is None
        for label, node in parser.outputs.items():
            node.base.links.add_incoming(job, LinkType.CREATE, label)
            node.store()
        return job, inputs['structure'], dict(parser.outputs)

    return run


@pytest.fixture
def label(parsed) -> Callable[..., LabelData]:
    """Function that makes a label of a recorded job."""

    def make(case: str, **system: Any) -> LabelData:
        job, structure, outputs = parsed(case, **system)
        level = LevelOfTheoryData.get_or_create({'type': 'quantumespresso', 'recorded': case})
        made: LabelData = make_label(
            structure, level, outputs['output_parameters'], outputs['output_trajectory'], job.inputs.kpoints
        )
        return made

    return make


def printed_energy(stdout: str, name: str) -> float:
    """Energy (eV) that pw.x prints in Ry."""
    found = re.findall(rf'^!?\s*{re.escape(name)}\s*=\s*(\S+) Ry', stdout, re.MULTILINE)
    return float(found[-1]) * Ry


@pytest.mark.parametrize(('case', 'nspin'), [('good', 1), ('fixed_insulator', 1), ('spin', 2)])
def test_numbers_are_those_that_are_printed_in_other_units_and_signs(label, case, nspin):
    frame = label(case, nspin=nspin).get_structure()
    stdout = (RECORDED / case / 'aiida.out').read_text()
    assert frame.properties['energy'] == pytest.approx(printed_energy(stdout, 'total energy'), rel=2e-7)
    lines = stdout.partition('Forces acting on atoms')[2].partition('The non-local')[0]
    forces = [[float(word) for word in line.split()[-3:]] for line in lines.splitlines() if 'force =' in line]
    np.testing.assert_allclose(frame.properties['forces'], np.array(forces) * Ry / Bohr, atol=3e-7)
    rows = re.search(r'total\s+stress .*\n(.*)\n(.*)\n(.*)\n', stdout)
    kbar = np.array([[float(word) for word in line.split()[3:]] for line in rows.groups()])
    # Under compression pw.x prints a positive number, and the energy falls when the cell grows.
    expected = -kbar[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] * KBAR
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(frame.properties['stress'], expected, atol=1e-5)


def test_the_energy_is_the_free_energy_where_there_is_smearing(label):
    stdout = (RECORDED / 'spin' / 'aiida.out').read_text()
    parts = ('one-electron contribution', 'hartree contribution', 'xc contribution', 'ewald contribution')
    internal = sum(printed_energy(stdout, part) for part in parts)
    entropy = printed_energy(stdout, 'smearing contrib. (-TS)')
    assert abs(entropy) > 1e-4
    assert label('spin', nspin=2).energy == pytest.approx(internal + entropy, abs=2e-5)


def test_what_a_label_says_beside_its_numbers(label):
    made = label('good')
    (sent,) = read_extxyz(RECORDED / 'good' / 'structure.extxyz')
    frame = made.get_structure()
    assert frame.content_hash() == sent.content_hash() == made.structure_fingerprint
    assert made.base.attributes.get('kpoints') == frame.provenance['kpoints'] == [2, 3, 3]
    assert made.level_of_theory == frame.provenance['level_of_theory']
    assert LevelOfTheoryData.get_or_create({'type': 'quantumespresso', 'recorded': 'good'}).hash == made.level_of_theory
    assert frame.provenance['system'] == 'silicon'
    assert frame.provenance['scf_iterations'] > 3
    assert made.creator.process_label == 'make_label'


def test_the_way_back_needs_a_job_with_pseudopotentials(label):
    # One row per pseudopotential, and this job was recorded without.
    assert calculation_of(label('good').uuid).all() == []
    assert describe_calculation(label('good')) == []


def test_an_atom_has_no_stress(parsed):
    """Whatever pw.x prints for its box."""
    job, structure, outputs = parsed('good')
    frame = structure.get_structure()
    frame.atoms.pbc = False
    atom = TrainingStructureData(frame).store()
    level = LevelOfTheoryData.get_or_create({'type': 'quantumespresso', 'recorded': 'atom'})
    made = make_label(atom, level, outputs['output_parameters'], outputs['output_trajectory'], job.inputs.kpoints)
    assert made.base.attributes.get('properties') == ['energy', 'forces']
    assert made.pressure is None


def test_a_list_in_which_nothing_was_labelled(store_structures, silicon_frames):
    manifest = store_structures(silicon_frames[:2])
    rows = [
        {'structure': uuid, 'fingerprint': fingerprint, 'status': 'failed', 'reason': 'walltime', 'tries': 3}
        for uuid, fingerprint in zip(manifest.uuids, manifest.fingerprints, strict=True)
    ]
    collected = collect_labels(manifest, orm.Dict({'rows': rows}))
    assert len(collected['manifest']) == 0
    assert collected['ledger'].counts['failed'] == 2
    assert [row.tries for row in collected['ledger'].rows] == [3, 3]
    with pytest.raises(ValueError, match='the rows are not those of the structures'):
        collect_labels(manifest, orm.Dict({'rows': rows[::-1]}))
