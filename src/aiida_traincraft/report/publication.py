"""Figures for a paper, from the nodes of a campaign or of a validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from aiida import orm

from aiida_traincraft.data.reading import find_node
from aiida_traincraft.data.validation import ValidationData
from aiida_traincraft.provenance import costs
from aiida_traincraft.provenance.campaign import summarise
from aiida_traincraft.provenance.queries import load_campaign_node
from aiida_traincraft.report import figures
from aiida_traincraft.report.figures import Drawing, Panels
from aiida_traincraft.report.validators import draw_findings
from aiida_traincraft.workchains.campaign_products import products
from aiida_traincraft.workchains.validate import ValidateWorkChain

SUFFIXES = ('.pdf', '.svg', '.png')
SPECTRA = ('infrared', 'raman')
MOST_POINTS = 20_000


def write_figure(what: str, identifier: str | None, path: Path) -> None:
    """Write a figure of a campaign to a file.

    Parameters
    ----------
    what
        One of ``FIGURES``.
    identifier
        Name, PK or UUID of a campaign, the newest if None; for figures of validators also PK or UUID of what
        ``traincraft validate-potential`` ran.
    path
        The file; its suffix decides the format.

    Raises
    ------
    ValueError
        If the suffix is unknown, or the campaign has nothing to draw.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f'"--output" ({path}) must end with one of {", ".join(SUFFIXES)}')
    drawing = FIGURES[what](identifier)
    path.parent.mkdir(parents=True, exist_ok=True)
    figures.to_file(drawing, path)


def _learning(identifier: str | None) -> Drawing:
    campaign = load_campaign_node(identifier)
    columns = costs.learning_columns(summarise(campaign))
    if not columns['cycle']:
        raise ValueError(f'no potential of campaign "{campaign.label}" was scored on its test set yet')
    return figures.learning(columns)


def _parity(identifier: str | None) -> Drawing:
    """Energies and forces of the test set."""
    campaign = load_campaign_node(identifier)
    training, made = costs.last_scored(campaign), products(campaign)
    if training is None or 'predictions' not in training.outputs or 'test_set' not in made:
        raise ValueError(f'no potential of campaign "{campaign.label}" was scored on its test set yet')
    points = costs.parity_points(training.outputs.predictions, made['test_set'], MOST_POINTS)
    units = {'energy': 'eV/atom', 'forces': 'eV/Å'}
    draws = tuple(figures.parity(columns, name, units[name]) for name, columns in points.items())
    return Panels(draws, (1.0,) * len(draws))


def _reliability(identifier: str | None) -> Drawing:
    campaign = load_campaign_node(identifier)
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


def _spectra(identifier: str | None) -> Drawing:
    return _of_validators(identifier, SPECTRA, 'spectrum')


def _phonons(identifier: str | None) -> Drawing:
    return _of_validators(identifier, ('phonons',), 'dispersion')


def _of_validators(identifier: str | None, kinds: tuple[str, ...], figure: str) -> Drawing:
    """The figures of this name of all validators of some types, side by side."""
    title, validators = _validators(identifier)
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


def _validators(identifier: str | None) -> tuple[str, Mapping[str, ValidationData]]:
    """What is asked about, in words, and what its validators found."""
    node = None if identifier is None else find_node(identifier)
    if node is not None and node.process_type == ValidateWorkChain.build_process_type():
        title, name = f'validation {node.uuid}', 'validators'
    else:
        node = load_campaign_node(identifier)
        title, name = f'campaign "{node.label}"', 'validation'
    if name not in node.outputs:
        return title, {}
    return title, node.outputs[name]


FIGURES: dict[str, Callable[[str | None], Drawing]] = {
    'parity': _parity,
    'learning': _learning,
    'reliability': _reliability,
    'spectra': _spectra,
    'phonons': _phonons,
}
