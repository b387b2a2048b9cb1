"""What a user names: everywhere a campaign's name, a PK, or a UUID or its beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aiida import orm

    from aiida_traincraft.data.dataset import DatasetData
    from aiida_traincraft.data.potentials.base import PotentialData

MOST_NAMED = 5


def load_campaign(identifier: str | None) -> orm.WorkChainNode:
    """Campaign that is named, the newest of several of one name; the newest of all without a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    from aiida_traincraft.provenance.queries import load_campaign_node

    campaign = load_campaign_node(identifier)
    _tell(identifier, campaign)
    return campaign


def load_named(identifier: str) -> orm.Node:
    """Campaign of this name, else the node of this PK or UUID.

    Raises
    ------
    click.ClickException
        If there is none.
    """
    from aiida_traincraft.provenance.queries import find_named

    node = find_named(identifier)
    if node is None:
        raise click.ClickException(f'there is no node {identifier!r} in this profile, and no campaign of that name')
    _tell(identifier, node)
    return node


def load_potential(identifier: str) -> PotentialData:
    """Potential that is named, or that of a campaign or training.

    Raises
    ------
    click.ClickException
        If there is none.
    """
    from aiida_traincraft.data.potentials.base import PotentialData

    node = _product(identifier, 'potential')
    if not isinstance(node, PotentialData):
        raise click.ClickException(
            f'there is no potential {identifier!r} in this profile: "traincraft query potentials" lists all'
        )
    return node


def load_dataset(identifier: str) -> DatasetData:
    """Dataset that is named, or the last one of a campaign.

    Raises
    ------
    click.ClickException
        If there is none, or it is an import.
    """
    from aiida import orm

    from aiida_traincraft.data.dataset import DatasetData
    from aiida_traincraft.provenance.describe import IMPORT_PROCESS_TYPE

    node = _product(identifier, 'dataset')
    if isinstance(node, orm.ProcessNode) and node.process_type == IMPORT_PROCESS_TYPE:
        raise click.ClickException(
            f'{identifier!r} is an import: make a dataset of it with "traincraft dataset create --import {node.pk}"'
        )
    if not isinstance(node, DatasetData):
        raise click.ClickException(f'there is no dataset {identifier!r} in this profile')
    return node


def load_test_set(identifier: str) -> DatasetData:
    """Dataset that is named, or the test set of a campaign.

    Raises
    ------
    click.ClickException
        If there is none.
    """
    from aiida_traincraft.data.dataset import DatasetData

    sealed = _product(identifier, 'test_set')
    return sealed if isinstance(sealed, DatasetData) else load_dataset(identifier)


def load_level(text: str) -> str:
    """Hash of the stored level of theory that is named as at an import, or by the beginning of its hash.

    Raises
    ------
    ValueError
        If there is none, or several.
    """
    from aiida_traincraft.data.level_of_theory import full_level_hash, level_hash
    from aiida_traincraft.exchange.imports import parse_level

    named = level_hash(parse_level(text))
    try:
        return full_level_hash(named)
    except ValueError:
        return full_level_hash(text.strip())


def find_sealed(identifier: str) -> DatasetData | None:
    """Test set of the campaign that is named; None if something else is, or it has none (yet)."""
    from aiida import orm

    from aiida_traincraft.provenance.queries import find_named, find_product

    node = find_named(identifier)
    return find_product(node, 'test_set') if isinstance(node, orm.ProcessNode) else None


def _product(identifier: str, port: str) -> orm.Node | None:
    """Data that is named, or what a process that is named made; the process if it made no such thing."""
    from aiida import orm

    from aiida_traincraft.provenance.queries import find_named, find_product, is_campaign

    node = find_named(identifier)
    if not isinstance(node, orm.ProcessNode):
        return node
    _tell(identifier, node)
    made = find_product(node, port)
    if made is None and is_campaign(node):
        raise click.ClickException(
            f'campaign {node.label!r} <{node.pk}> has no {port.replace("_", " ")} (yet): traincraft status {node.pk}'
        )
    return node if made is None else made


def _tell(identifier: str | None, node: orm.Node) -> None:
    """Say which one is meant where several campaigns have the name."""
    from aiida_traincraft.provenance.queries import find_campaigns

    if identifier is None or identifier != node.label:
        return
    others = [str(campaign.pk) for campaign in find_campaigns(identifier) if campaign.pk != node.pk]
    if others:
        made = node.ctime.astimezone().strftime('%Y-%m-%d %H:%M')
        click.echo(
            f'{len(others) + 1} campaigns are called {identifier!r}: the newest is taken, PK {node.pk} (UUID '
            f'{node.uuid[:8]}, of {made}); for another one give its PK: {", ".join(others[:MOST_NAMED])}'
            f'{", ..." if len(others) > MOST_NAMED else ""}',
            err=True,
        )
