"""A trajectory or candidate pool: one node per sampling run."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm

from aiida_traincraft.data.frames.base import check_geometry
from aiida_traincraft.science.structure import Structure, read_frames, write_frames

FRAMES_FILE = 'frames'
UNCERTAINTY_FILE = 'uncertainty.npy'


class FramesData(orm.Data):
    """Frames that are not labelled (yet): rows of one file, with one uncertainty each (NaN where unknown).

    Parameters
    ----------
    frames
        The frames, in order; ``properties['uncertainty']`` (n_atoms,) gives a frame's uncertainty, its largest entry.
    measure
        What the uncertainty is: ``gamma`` (no unit), ``spread`` (eV/Å), or None if there is none.

    Raises
    ------
    ValueError
        If a frame is not a valid geometry; names its index.
    """

    def __init__(self, frames: Sequence[Structure], measure: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for index, frame in enumerate(frames):
            try:
                check_geometry(frame)
            except ValueError as error:
                raise ValueError(f'frame {index}: {error}') from error
        uncertainty = np.array([frame_uncertainty(frame) for frame in frames])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / FRAMES_FILE
            write_frames(path, frames)
            self.base.repository.put_object_from_file(str(path), FRAMES_FILE)
        buffer = io.BytesIO()
        np.save(buffer, uncertainty, allow_pickle=False)
        buffer.seek(0)
        self.base.repository.put_object_from_filelike(buffer, UNCERTAINTY_FILE)
        known = uncertainty[np.isfinite(uncertainty)]
        self.base.attributes.set_many(
            {
                'n_frames': len(frames),
                'elements': sorted({element for frame in frames for element in frame.elements}),
                'systems': sorted({str(frame.provenance.get('system', '')) for frame in frames}),
                'measure': measure,
                'max_uncertainty': float(known.max()) if len(known) else None,
            }
        )

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.base.attributes.get('n_frames'))

    @property
    def max_uncertainty(self) -> float | None:
        """Largest finite uncertainty of a frame, if any is known."""
        value = self.base.attributes.get('max_uncertainty')
        return None if value is None else float(value)

    @property
    def uncertainty(self) -> np.ndarray[Any, Any]:
        """Uncertainty of each frame (n_frames,), NaN where unknown."""
        with self.base.repository.open(UNCERTAINTY_FILE, 'rb') as handle:
            values: np.ndarray[Any, Any] = np.load(io.BytesIO(handle.read()), allow_pickle=False)
        return values

    def get_frames(self) -> list[Structure]:
        """All frames, in order."""
        with self.base.repository.as_path(FRAMES_FILE) as path:
            return read_frames(Path(path))

    def __str__(self) -> str:
        top = '' if self.max_uncertainty is None else f', largest uncertainty {self.max_uncertainty:.2f}'
        return f'{self.n_frames} frames of {", ".join(self.base.attributes.get("systems"))}{top}'


def frame_uncertainty(frame: Structure) -> float:
    """Largest per-atom uncertainty of a frame, NaN when unknown."""
    values = frame.properties.get('uncertainty')
    return float('nan') if values is None else float(np.max(values))
