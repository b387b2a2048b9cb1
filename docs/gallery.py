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
from ase.build import bulk, molecule
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from aiida_traincraft import Structure, Workspace, build_geometries, make_calculator, run_sampling
from aiida_traincraft.report.contact_sheet import draw_view
from aiida_traincraft.science import registry
from aiida_traincraft.science.config.fields import parse_plugin
from aiida_traincraft.science.config.selection import SelectionConfig
from aiida_traincraft.science.config.systems import GeometryConfig
from aiida_traincraft.science.optional import MissingLibraryError
from aiida_traincraft.science.selection import FunnelContext, apply_funnel
from aiida_traincraft.science.structure import write_extxyz, write_frames

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
    'calculator': ('Calculators', 'The structure of the example, and what the calculator says of it.'),
    'selector': ('Selectors', 'The same 25 frames of copper, with what the stage picks or lets pass.'),
}


def main() -> None:
    """Write the page and its pictures."""
    (DOCS / PICTURES).mkdir(parents=True, exist_ok=True)
    lines = [
        '# Gallery',
        '',
        'Every plugin for geometry, sampling and selection, by the example in its docstring. Made by',
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
    figure, cell = figure_of(plugin, workspace)
    if figure is not None:
        path = f'{PICTURES}/{plugin.kind}_{plugin.name}.png'
        save(figure, DOCS / path)
        cell = f'<img src="{path}" alt="{plugin.kind} {plugin.name}"><br>{cell}'
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


def figure_of(plugin: registry.Plugin, workspace: Workspace) -> tuple[Figure | None, str]:
    """Picture of a plugin's example, if there is one, and what to say below."""
    tables = tomllib.loads(plugin.example or '')
    if plugin.kind == 'selector':
        return draw_selection(SelectionConfig.model_validate(tables))
    shown, caption = structures_of(plugin, tables, workspace)
    return (draw(shown) if shown else None), caption


def structures_of(plugin: registry.Plugin, tables: dict[str, Any], workspace: Workspace) -> tuple[list[Atoms], str]:
    """What to draw of a plugin's example, at most two structures, and what to say below."""
    config = geometry_of(tables)
    if config.source is not None and config.source.network:
        return [], 'read from the network when a campaign is launched'
    if config.source is not None and config.source.profile:
        return [], 'read from an AiiDA profile when a campaign is launched'
    try:
        built = build_geometries(config, workspace, SEED)
        if plugin.kind == 'transform':
            before = {**tables, 'transforms': tables['transforms'][:-1]}
            start = build_geometries(geometry_of(before), workspace, SEED)[0]
            return [start.atoms, built[0].atoms], f'{start.formula} before, {built[0].formula} after'
        if plugin.kind == 'sampler':
            frames = run_sampling(built[0], calculator_of(tables), workspace, sampler_of(tables), SEED)
            return [frames[0].atoms, frames[-1].atoms], f'{len(frames)} frames of {frames[0].formula}'
        if plugin.kind == 'calculator':
            return [built[0].atoms], say_energy(built[0], tables)
    except MissingLibraryError as error:
        return [], str(error)
    caption = built[0].formula
    if len(built) > 1:
        caption += f' and {built[-1].formula}: first and last of {len(built)}'
    return [built[0].atoms, *([built[-1].atoms] if len(built) > 1 else [])], caption


def say_energy(structure: Structure, tables: dict[str, Any]) -> str:
    """Energy and largest force of a calculator's example, where nothing but the calculator is needed."""
    config = parse_plugin('calculator', tables['calculator'])
    if any(hasattr(config, key) for key in ('potential', 'model', 'models', 'command')):
        return f'{structure.formula}; needs a program or a file that is not part of this page'
    atoms = structure.atoms.copy()
    atoms.calc = make_calculator(config)
    force = np.linalg.norm(atoms.get_forces(), axis=1).max()
    return f'{structure.formula}: {atoms.get_potential_energy():.3f} eV, largest force {force:.3f} eV/Å'


def draw_selection(config: SelectionConfig) -> tuple[Figure, str]:
    """Frames by temperature and uncertainty, those that a stage picks or lets pass marked."""
    pool = example_pool()
    context = FunnelContext(budget=8, lo=2.0, hi=10.0, seed=SEED, costs=[(pool[0].formula, 400.0)])
    places = {frame.content_hash(): place for place, frame in enumerate(pool)}
    chosen = {places[frame.content_hash()] for frame in apply_funnel(pool, config, context).selected}
    figure = Figure(figsize=(2 * SIDE, 1.4 * SIDE), layout='constrained')
    axes = figure.subplots()
    for marked, colour, label in ((False, '#b8bec8', 'dropped'), (True, '#d1495b', 'kept')):
        rows = [place for place in range(len(pool)) if (place in chosen) is marked]
        x = [pool[row].provenance['temperature'] for row in rows]
        axes.scatter(x, [pool[row].properties['uncertainty'].max() for row in rows], 18, colour, label=label)
    axes.set_xlabel('temperature (K)', fontsize=7)
    axes.set_ylabel('uncertainty', fontsize=7)
    axes.tick_params(labelsize=6)
    axes.legend(fontsize=6)
    return figure, f'{len(chosen)} of {len(pool)} frames'


def example_pool() -> list[Structure]:
    """Copper at 300 to 1000 K with all that a stage may ask for; two frames are the same."""
    rng, frames = np.random.default_rng(SEED), []
    for number in range(24):
        atoms = bulk('Cu', a=3.6, cubic=True)
        atoms.positions += rng.normal(0, 0.02 + 0.005 * number, atoms.positions.shape)
        properties = {
            'energy': -3.7 * len(atoms) + 0.05 * number,
            'forces': rng.normal(0, 0.1 * number, (len(atoms), 3)),
            'uncertainty': rng.uniform(0, 0.3 * (number + 1), len(atoms)),
            'energy_spread': rng.uniform(0, 0.05),
            'descriptor': rng.normal(size=6),
            'active.Cu': rng.normal(0, number, (len(atoms), 6)),
        }
        provenance = {'system': 'bulk', 'sampler': 'md', 'seed': number % 3, 'temperature': 300.0 + 30 * number}
        frames.append(Structure(atoms, properties, provenance))
    return [*frames, frames[3].copy()]


def geometry_of(tables: dict[str, Any]) -> GeometryConfig:
    """Section of the geometry."""
    return GeometryConfig.model_validate({key: tables[key] for key in tables.keys() & GeometryConfig.model_fields})


def calculator_of(tables: dict[str, Any]) -> Any:
    """Calculator of a sampler's example, None without."""
    return make_calculator(parse_plugin('calculator', tables['calculator'])) if 'calculator' in tables else None


def sampler_of(tables: dict[str, Any]) -> Any:
    """Section of the sampler."""
    return parse_plugin('sampler', tables['sampling'])


def draw(structures: Sequence[Atoms]) -> Figure:
    """Draw structures from the side and from above."""
    figure = Figure(figsize=(2 * SIDE, SIDE * len(structures)), layout='constrained')
    for row, atoms in zip(figure.subplots(len(structures), 2, squeeze=False), structures, strict=True):
        for axes, view in zip(row, 'yz', strict=True):
            draw_view(axes, atoms, view)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a picture; few colours keep the file small."""
    FigureCanvasAgg(figure)
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
