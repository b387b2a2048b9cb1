"""Run the example of every plugin and draw what it gives: ``docs/gallery.md`` and its pictures.

python docs/gallery.py
"""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import molecule
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from aiida_traincraft.report.contact_sheet import draw_view
from aiida_traincraft.science import registry
from aiida_traincraft.science.calculators import make_calculator
from aiida_traincraft.science.config.base import parse_plugin
from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.extras import MissingLibraryError
from aiida_traincraft.science.geometry import build_geometries
from aiida_traincraft.science.sampling import sample
from aiida_traincraft.science.structure import Structure, write_extxyz, write_frames
from aiida_traincraft.science.workspace import Workspace

DOCS = Path(__file__).parent
PICTURES = 'images/gallery'
SEED = 1
SIDE, DPI, COLOURS = 1.7, 90, 48
LARGEST_PICTURE = 25_000
"""Size of one picture (bytes)."""
KINDS = {
    'source': ('Sources', 'Structures that exist already.'),
    'builder': ('Builders', 'Structures made from a description.'),
    'transform': ('Transforms', 'What was built, before and after.'),
    'sampler': ('Samplers', 'First and last frame.'),
}


def main() -> None:
    """Write the page and its pictures."""
    registry.load_plugins()
    (DOCS / PICTURES).mkdir(parents=True, exist_ok=True)
    lines = [
        '# Gallery',
        '',
        'Every source, builder, transform and sampler, by the example in its docstring. Made by',
        '`python docs/gallery.py`; all keys with their units: `traincraft plugins --keys NAME`.',
        '',
    ]
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        write_examples(workspace)
        for kind, (title, text) in KINDS.items():
            lines += [f'## {title}', '', text, '']
            for name in registry.names(kind):
                lines += entry(registry.get(kind, name), workspace)
    (DOCS / 'gallery.md').write_text('\n'.join(lines))


def write_examples(workspace: Workspace) -> None:
    """Write the files that the examples of sources name."""
    rng = np.random.default_rng(SEED)
    frames = []
    for _ in range(11):
        atoms = molecule('CH3CH2OH', vacuum=3.0)
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        frames.append(Structure(atoms))
    for name in ('structure.extxyz', 'structures.extxyz'):
        write_extxyz(workspace.path(name), frames)
    write_frames(workspace.path('structures.frames'), frames)


def entry(plugin: registry.Plugin, workspace: Workspace) -> list[str]:
    """Lines of one plugin: its TOML beside its picture, as a table of HTML, which Markdown passes on."""
    if plugin.example is None:
        return []
    shown, caption = pictures_of(plugin, workspace)
    cell = caption
    if shown:
        path = f'{PICTURES}/{plugin.kind}_{plugin.name}.png'
        draw(shown, DOCS / path)
        cell = f'<img src="{path}" alt="{plugin.kind} {plugin.name}"><br>{caption}'
    return [
        f'### `{plugin.name}`',
        '',
        plugin.summary,
        '',
        '<table><tr><td>',
        '',
        '```toml',
        plugin.example.rstrip(),
        '```',
        '',
        '</td><td>',
        '',
        cell,
        '',
        '</td></tr></table>',
        '',
    ]


def pictures_of(plugin: registry.Plugin, workspace: Workspace) -> tuple[list[Atoms], str]:
    """What to draw of a plugin's example, at most two structures, and what to say below."""
    tables = tomllib.loads(plugin.example or '')
    config = geometry_of(tables)
    if getattr(config.source, 'network', False):
        return [], 'read from the network when a campaign is launched'
    if getattr(config.source, 'profile', False):
        return [], 'read from an AiiDA profile when a campaign is launched'
    try:
        built = build_geometries(config, workspace, SEED)
        if plugin.kind == 'transform':
            before = {**tables, 'transforms': tables['transforms'][:-1]}
            start = build_geometries(geometry_of(before), workspace, SEED)[0]
            return [start.atoms, built[0].atoms], f'{start.formula} before, {built[0].formula} after'
        if plugin.kind == 'sampler':
            frames = sample(built[0], calculator_of(tables), workspace, sampler_of(tables), SEED).frames
            return [frames[0].atoms, frames[-1].atoms], f'{len(frames)} frames of {frames[0].formula}'
    except MissingLibraryError as error:
        return [], str(error)
    caption = built[0].formula
    if len(built) > 1:
        caption += f' and {built[-1].formula}: first and last of {len(built)}'
    return [built[0].atoms, *([built[-1].atoms] if len(built) > 1 else [])], caption


def geometry_of(tables: dict[str, Any]) -> GeometryConfig:
    """Section of the geometry."""
    return GeometryConfig.model_validate({key: tables[key] for key in tables.keys() & GeometryConfig.model_fields})


def calculator_of(tables: dict[str, Any]) -> Any:
    """Calculator of a sampler's example, None without."""
    return make_calculator(parse_plugin('calculator', tables['calculator'])) if 'calculator' in tables else None


def sampler_of(tables: dict[str, Any]) -> Any:
    """Section of the sampler."""
    return parse_plugin('sampler', tables['sampling'])


def draw(structures: Sequence[Atoms], path: Path) -> None:
    """Draw structures from the side and from above; few colours keep the file small."""
    figure = Figure(figsize=(2 * SIDE, SIDE * len(structures)), layout='constrained')
    FigureCanvasAgg(figure)
    for row, atoms in zip(figure.subplots(len(structures), 2, squeeze=False), structures, strict=True):
        for axes, view in zip(row, 'yz', strict=True):
            draw_view(axes, atoms, view)
    buffer = BytesIO()
    figure.savefig(buffer, dpi=DPI)
    colours = COLOURS
    while True:
        Image.open(buffer).convert('RGB').quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size <= LARGEST_PICTURE or colours <= 4:
            return
        colours //= 2


if __name__ == '__main__':
    main()
