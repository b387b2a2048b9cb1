from __future__ import annotations

from ase.build import bulk

from aiida_traincraft.science.structure import Structure, read_extxyz, write_extxyz


def test_frames_of_one_to_three_digits_of_atoms_are_read_whole(tmp_path):
    frames = [Structure(bulk('Cu', cubic=True).repeat(size)) for size in ((1, 1, 1), (2, 2, 1), (3, 3, 3), (1, 1, 2))]
    write_extxyz(tmp_path / 'frames.extxyz', frames)
    read = read_extxyz(tmp_path / 'frames.extxyz')
    assert [len(frame) for frame in read] == [4, 16, 108, 8]
    assert [frame.content_hash() for frame in read] == [frame.content_hash() for frame in frames]
