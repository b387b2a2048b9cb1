"""Submit a campaign, as ``traincraft run`` does; the daemon must be running.

Run it in the environment of AiiDA::

    verdi -p PROFILE run examples/launch_active_learning.py examples/cu_demo.toml
"""

from __future__ import annotations

import sys
from pathlib import Path

from aiida.engine import submit
from aiida.engine.daemon.client import get_daemon_client

from aiida_traincraft import builder_from_config


def main(campaign: Path) -> None:
    """Submit the campaign of a TOML file."""
    if not get_daemon_client().is_daemon_running:
        sys.exit('Error: the daemon is not running; start it with "verdi -p PROFILE daemon start"')
    try:
        builder = builder_from_config(campaign)
    except ValueError as error:
        sys.exit(f'Error: {error}')
    node = submit(builder)
    print(f'campaign {node.label!r} is submitted: PK {node.pk}, UUID {node.uuid}')
    print(f'follow it with: traincraft watch {node.pk}')


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(f'usage: verdi run {sys.argv[0]} CAMPAIGN.toml')
    main(Path(sys.argv[1]))
