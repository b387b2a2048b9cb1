"""The way of a campaign's config from its file to the builder: modules that are handed it, and turns back.

Counted are calls of functions that get the config, a section of it or what holds it as an argument; not those of the
config's own methods, and not those inside of builders, transforms and samplers. A turn back is a step to a module that
the way has been in before. Run it in a profile that has the codes of the campaign::

    python benchmarks/config_way.py PROFILE examples/cu_demo.toml
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

from aiida import load_profile

import aiida_traincraft
from aiida_traincraft.launch.campaign_builder import builder_from_config
from aiida_traincraft.science.campaign.preflight import Preflight
from aiida_traincraft.science.config.base import StrictModel
from aiida_traincraft.science.config.loader import load_campaign

ROOT = Path(aiida_traincraft.__file__).parent
PLUGINS = ('science/geometry/builders', 'science/geometry/defects', 'science/geometry/transforms', 'science/sampling')


def main(profile: str, file: Path) -> None:
    """Trace the launch of a campaign and print the counts and the way."""
    load_profile(profile)
    way: list[str] = []

    def trace(frame: FrameType, event: str, _: Any) -> None:
        code, local = frame.f_code, frame.f_locals
        path = Path(code.co_filename)
        if event != 'call' or ROOT not in path.parents or isinstance(local.get('self'), StrictModel):
            return
        module = path.relative_to(ROOT).with_suffix('').as_posix()
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        given = any(isinstance(local.get(name), StrictModel | Preflight) for name in names if name != 'self')
        if given and not module.startswith(PLUGINS) and way[-1:] != [module]:
            way.append(module)

    sys.setprofile(trace)
    builder_from_config(load_campaign(file), file.resolve().parent)
    sys.setprofile(None)
    visited = set(way)
    print(f'{len(visited)} modules, {len(way) - len(visited)} turns back')
    print(' > '.join(way))


if __name__ == '__main__':
    main(sys.argv[1], Path(sys.argv[2]))
