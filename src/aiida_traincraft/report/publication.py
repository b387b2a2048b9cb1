"""Figures for a paper, from the nodes of a campaign or of a validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from aiida import orm

from aiida_traincraft.data.validation import ValidationData
from aiida_traincraft.provenance import costs
from aiida_traincraft.provenance.campaign import summarise
from aiida_traincraft.provenance.queries import is_campaign
from aiida_traincraft.report import figures
from aiida_traincraft.report.figures import Drawing, Panels
from aiida_traincraft.report.validators import draw_findings
from aiida_traincraft.workchains.campaign_products import products
from aiida_traincraft.workchains.validate import ValidateWorkChain

SUFFIXES = ('.pdf', '.svg', '.png')
SPECTRA = ('infrared', 'raman')
MOST_POINTS = 20_000


def write_figure(what: str, node: orm.Node, path: Path) -> None:
    """Write a figure of a campaign to a file.

    Parameters
    ----------
    what
        One of ``FIGURES``.
    node
        A campaign; for figures of validators also what ``traincraft validate-potential`` ran.
    path
        The file; its suffix decides the format.

    Raises
    ------
    ValueError
        If the suffix is unknown, or the campaign has nothing to draw.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f'"--output" ({path}) must end with one of {", ".join(SUFFIXES)}')
    drawing = FIGURES[what](node)
    path.parent.mkdir(parents=True, exist_ok=True)
    figures.to_file(drawing, path)


def _learning(node: orm.Node) -> Drawing:
    campaign = _campaign(node)
    columns = costs.learning_columns(summarise(campaign))
    if not columns['cycle']:
        raise ValueError(f'no potential of campaign "{campaign.label}" was scored on its test set yet')
    return figures.learning(columns)


def _parity(node: orm.Node) -> Drawing:
    """Energies and forces of the test set."""
    campaign = _campaign(node)
    training, made = costs.last_scored(campaign), products(campaign)
    if training is None or 'predictions' not in training.outputs or 'test_set' not in made:
        raise ValueError(f'no potential of campaign "{campaign.label}" was scored on its test set yet')
    points = costs.parity_points(training.outputs.predictions, made['test_set'], MOST_POINTS)
    units = {'energy': 'eV/atom', 'forces': 'eV/Å'}
    draws = tuple(figures.parity(columns, name, units[name]) for name, columns in points.items())
    return Panels(draws, (1.0,) * len(draws))


def _reliability(node: orm.Node) -> Drawing:
    campaign = _campaign(node)
    found = [cycle['calibration'] for cycle in summarise(campaign)['cycles'] if cycle['calibration']]
    if not found:
        raise ValueError(
            f'campaign "{campaign.label}" has no calibration: its potentials have no uncertainty. Give "[training]" a '
            'type that has one (ACE with an active set, or MACE with "committee" = 2 or more), and run it again'
        )
    facts = orm.load_node(found[-1]['uuid']).base.attributes.all
    if not facts['reliability']:
        raise ValueError(
            f'campaign "{campaign.label}" has no calibration: {facts["reason"]}. Give "[test_set]" more structures, '
            'and run it again'
        )
    return figures.reliability_of(facts)


def _spectra(node: orm.Node) -> Drawing:
    return _of_validators(node, SPECTRA, 'spectrum')


def _phonons(node: orm.Node) -> Drawing:
    return _of_validators(node, ('phonons',), 'dispersion')


def _of_validators(node: orm.Node, kinds: tuple[str, ...], figure: str) -> Drawing:
    """The figures of this name of all validators of some types, side by side."""
    title, validators = _validators(node)
    nodes = [node for _, node in sorted(validators.items()) if node.base.attributes.get('type') in kinds]
    if not nodes:
        wanted = ' or '.join(f'type = "{kind}"' for kind in kinds)
        raise ValueError(
            f'{title} has no results of a validator with {wanted}: put one into [[validation.validators]] and run it, '
            'or ask "traincraft validate-potential" for it'
        )
    drawings = [
        item.drawing
        for node in nodes
        for item in draw_findings(node.base.attributes.get('type'), node.curves)[0]
        if item.name == figure
    ]
    if not drawings:
        raise ValueError(f'{title} has nothing to draw: {"; ".join(str(node) for node in nodes)}')
    if len(drawings) == 1:
        return drawings[0]
    panels = [item if isinstance(item, Panels) else Panels((item,), (1.0,)) for item in drawings]
    return Panels(
        tuple(draw for item in panels for draw in item.draws), tuple(width for item in panels for width in item.widths)
    )


def _validators(node: orm.Node) -> tuple[str, Mapping[str, ValidationData]]:
    """What is asked about, in words, and what its validators found."""
    if node.process_type == ValidateWorkChain.build_process_type():
        title, name = f'validation {node.uuid}', 'validators'
    else:
        node = _campaign(node)
        title, name = f'campaign "{node.label}"', 'validation'
    if name not in node.outputs:
        return title, {}
    return title, node.outputs[name]


def _campaign(node: orm.Node) -> orm.WorkChainNode:
    if not is_campaign(node):
        raise ValueError(f'node {node.pk} is no campaign but {node}')
    campaign: orm.WorkChainNode = node
    return campaign


FIGURES: dict[str, Callable[[orm.Node], Drawing]] = {
    'parity': _parity,
    'learning': _learning,
    'reliability': _reliability,
    'spectra': _spectra,
    'phonons': _phonons,
}
