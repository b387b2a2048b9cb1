"""Whether the files of an ACE potential are whole: judged before pyace reads them, which crashes on what is not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from aiida_traincraft.science.atoms.arrays import FloatArray
from aiida_traincraft.science.workspace import read_arrays

CHECKSUM = '# sha256 of the lines below: '
"""First line of the files that are written here; a comment of YAML."""
_PAIR_KEY = re.compile(r'^(\s*)\[(\d+),\s*(\d+)\]:', re.MULTILINE)
"""Keys that only some readers of YAML take."""

Number = Annotated[float, Field(allow_inf_nan=False)]
Length = Annotated[float, Field(gt=0, le=100)]
Count = Annotated[int, Field(ge=1, le=1000)]
Index = Annotated[int, Field(ge=0, le=1000)]
Table = list[list[list[Number]]]
Function = tuple[int, tuple[tuple[int, int, int], ...]]
"""Number of the central element, and element, n and l of each factor."""
Content = TypeVar('Content', bound=BaseModel)


def add_checksum(path: Path) -> None:
    """Write the digest of a finished file into its first line."""
    content = path.read_bytes()
    path.write_bytes(f'{CHECKSUM}{hashlib.sha256(content).hexdigest()}\n'.encode() + content)


def check_potential(path: Path) -> None:
    """Check a B-basis potential (``.yaml``).

    Raises
    ------
    ValueError
        If it is not whole: a key or function is missing, numbers do not fit together, or the file is not what its
        first line tells.
    """
    _check(path, _Potential)


def check_fast(path: Path) -> list[float]:
    """Check a C-tilde potential (``.yace``).

    Returns
    -------
    list
        Isolated-atom energies (eV) that it adds itself, of its elements in alphabetical order.

    Raises
    ------
    ValueError
        As :func:`check_potential` does.
    """
    return _check(path, _Fast).E0


def check_pair(potential: Path, fast: Path) -> list[float]:
    """Check both forms of a potential: they have the same functions. A ``.yace`` does not tell how many it has.

    Returns
    -------
    list
        As of :func:`check_fast`.

    Raises
    ------
    ValueError
        If one is not whole, or the functions differ.
    """
    slow, quick = _check(potential, _Potential), _check(fast, _Fast)
    if slow.functions() != quick.all_functions():
        raise ValueError(f'{fast.name} is damaged, or not of {potential.name}: its functions are others')
    return quick.E0


def read_active_set(path: Path) -> dict[str, FloatArray]:
    """Inverse active set (``.asi``) of each element, (n_functions, n_functions).

    Raises
    ------
    ValueError
        If the file is absent or not whole, or holds numbers that are not finite.
    """
    if not path.is_file():
        raise ValueError(f'active set {path} does not exist')
    try:
        found = {element: np.asarray(matrix, float) for element, matrix in read_arrays(path).items()}
    # Whatever a damaged archive does to those who read it.
    except Exception as error:
        raise ValueError(f'active set {path.name} is damaged: {type(error).__name__}: {error}') from error
    if not all(np.isfinite(matrix).all() for matrix in found.values()):
        raise ValueError(f'active set {path.name} is damaged: it holds numbers that are not finite')
    return found


def _check(path: Path, model: type[Content]) -> Content:
    if not path.is_file():
        raise ValueError(f'potential {path} does not exist')
    content = path.read_bytes()
    try:
        found = model.model_validate(_read(content.decode()))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = '.'.join(map(str, first['loc']))
        reason = first['msg'].removeprefix('Value error, ')
        raise ValueError(f'potential {path.name} is damaged: {place}{": " if place else ""}{reason}') from error
    # Readers of YAML have errors of their own.
    except Exception as error:
        raise ValueError(f'potential {path.name} cannot be read: {error}') from error
    head, _, rest = content.partition(b'\n')
    told = head.decode().strip()
    if told.startswith(CHECKSUM) and hashlib.sha256(rest).hexdigest() != told.removeprefix(CHECKSUM):
        raise ValueError(
            f'potential {path.name} is damaged: it is not what was written (remove its first line if you have changed '
            'it on purpose)'
        )
    return found


def _read(text: str) -> Any:
    """Content of YAML, all numbers as text: versions of YAML differ in what a number is."""
    text = _PAIR_KEY.sub(r'\1\2 \3:', text)
    try:
        import yaml
    except ModuleNotFoundError:
        # Many times slower, but it comes with pyace.
        from ruamel.yaml import YAML

        return YAML(typ='base', pure=True).load(text)

    class Reader(getattr(yaml, 'CBaseLoader', yaml.BaseLoader)):  # type: ignore[misc]
        """Refuses a key that is there twice: pyace takes the first, PyYAML the last."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [key.value for key, _ in node.value]
            _require(len(keys) == len(set(keys)), f'a key is there twice, of {", ".join(map(str, keys))[:200]}')
            return super().construct_mapping(node, deep)

    return yaml.load(text, Reader)  # noqa: S506


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


class _Radial(BaseModel):
    """Radial functions of a pair of elements; none but the basic ones where all functions are of one bond."""

    radial: Index
    angular: Index
    base: Count
    table: Table

    def check(self) -> None:
        """Hold the table of coefficients against its sizes."""
        shape = (self.radial, self.angular + 1, self.base)
        fits = len(self.table) == shape[0] and all(
            len(row) == shape[1] and all(len(entry) == shape[2] for entry in row) for row in self.table
        )
        _require(fits, f'radcoefficients are no table of {" x ".join(map(str, shape))} numbers')


def _check_function(radials: Sequence[_Radial], radial: Sequence[int], angular: Sequence[int]) -> None:
    """Hold the indices of a function against the radial functions of its pairs."""
    _require(len(radials) == len(radial) == len(angular) > 0, 'a function has lists of different lengths')
    for pair, n, l in zip(radials, radial, angular, strict=True):  # noqa: E741
        largest = pair.base if len(radials) == 1 else pair.radial
        _require(1 <= n <= largest and 0 <= l <= pair.angular, f'a function uses n = {n}, l = {l}, which is not there')


class _Function(BaseModel):
    type: str
    nr: list[Count]
    nl: list[Index]
    c: list[Number] = Field(min_length=1)


class _Block(BaseModel):
    speciesblock: str
    nbody: list[_Function]
    ndensityi: Count | None = None
    parameters: list[Number] | None = None
    nradmaxi: Index | None = None
    lmaxi: Index | None = None
    nradbaseij: Count | None = None
    radcoefficients: Table | None = None
    radparameters: list[Number] = Field(default=[], min_length=1)
    rcutij: Length | None = None
    dcutij: Number | None = None

    def radial(self) -> _Radial:
        """Radial functions of a block of one or two elements."""
        told = (self.nradmaxi, self.lmaxi, self.nradbaseij, self.radcoefficients)
        _require(
            None not in (*told, self.rcutij, self.dcutij) and 'radparameters' in self.model_fields_set,
            f'block "{self.speciesblock}" lacks keys of its radial functions',
        )
        found = _Radial(radial=told[0], angular=told[1], base=told[2], table=told[3])
        found.check()
        return found


class _Global(BaseModel):
    bins: float = Field(alias='DeltaSplineBins', ge=1e-6, le=1)


class _Potential(BaseModel):
    metadata: dict[str, str] = {}
    radial_grid: _Global = Field(alias='global')
    species: list[_Block] = Field(min_length=1)

    def model_post_init(self, context: Any, /) -> None:
        """Hold blocks, functions and their number against each other."""
        blocks = {tuple(block.speciesblock.split()): block for block in self.species}
        _require(len(blocks) == len(self.species), 'a block of species is there twice')
        radials = {key: block.radial() for key, block in blocks.items() if len(key) <= 2}
        elements = {element for key in blocks for element in key}
        for element in elements:
            own = blocks.get((element,))
            _require(
                own is not None and own.ndensityi is not None and len(own.parameters or ()) == 2 * own.ndensityi,
                f'the embedding of {element} is not there or not whole',
            )
        for key, block in blocks.items():
            for function in block.nbody:
                centre, *others = function.type.split()
                _require({centre, *others} == set(key), f'block "{" ".join(key)}" holds a function of {function.type}')
                pairs = [radials.get(_pair(centre, other), radials.get(_pair(other, centre))) for other in others]
                known = [pair for pair in pairs if pair is not None]
                _require(len(known) == len(others), f'the pairs of {function.type} have no radial functions')
                _check_function(known, function.nr, function.nl)
                _require(
                    len(function.c) == blocks[(centre,)].ndensityi, 'a function has not one number for each density'
                )
        found, stated = sum(len(block.nbody) for block in self.species), self.metadata.get('nfunc')
        _require(stated is None or stated == str(found), f'it holds {found} functions, its metadata says {stated}')

    def functions(self) -> set[Function]:
        """What there is beside its coefficients, of all functions."""
        elements = sorted({element for block in self.species for element in block.speciesblock.split()})
        number = {element: index for index, element in enumerate(elements)}
        found = set()
        for block in self.species:
            for function in block.nbody:
                centre, *others = (number[element] for element in function.type.split())
                found.add((centre, tuple(sorted(zip(others, function.nr, function.nl, strict=True)))))
        return found


def _pair(first: str, second: str) -> tuple[str, ...]:
    return (first,) if first == second else (first, second)


class _Embedding(BaseModel):
    ndensity: Count
    FS_parameters: list[Number]
    npoti: str


class _Bond(BaseModel):
    nradmax: Index
    lmax: Index
    nradbasemax: Count
    radbasename: str
    radparameters: list[Number] = Field(min_length=1)
    radcoefficients: Table
    rcut: Length
    dcut: Number
    prehc: Number
    lambdahc: Number

    def radial(self) -> _Radial:
        """Radial functions of the pair."""
        found = _Radial(radial=self.nradmax, angular=self.lmax, base=self.nradbasemax, table=self.radcoefficients)
        found.check()
        return found


class _FastFunction(BaseModel):
    mu0: Index
    rank: Count
    ndensity: Count
    num_ms_combs: Count
    mus: list[Index]
    ns: list[Count]
    ls: list[Index]
    ms_combs: list[int]
    ctildes: list[Number]


class _Fast(BaseModel):
    elements: list[str] = Field(min_length=1)
    E0: list[Number] = []
    bins: float = Field(alias='deltaSplineBins', ge=1e-6, le=1)
    embeddings: dict[str, _Embedding]
    bonds: dict[str, _Bond]
    functions: dict[str, list[_FastFunction]]

    def model_post_init(self, context: Any, /) -> None:
        """Hold elements, pairs and functions against each other."""
        numbers = [str(index) for index in range(len(self.elements))]
        _require(len(self.E0) in (0, len(numbers)), f'E0 has {len(self.E0)} numbers for {len(numbers)} elements')
        _complete('embeddings', self.embeddings, numbers)
        _complete('functions', self.functions, numbers)
        _complete('bonds', self.bonds, [f'{a} {b}' for a in numbers for b in numbers])
        for embedding in self.embeddings.values():
            _require(len(embedding.FS_parameters) == 2 * embedding.ndensity, 'an embedding is not whole')
        radials = {key: bond.radial() for key, bond in self.bonds.items()}
        for number, functions in self.functions.items():
            for function in functions:
                _require(str(function.mu0) == number, f'functions of element {number} hold one of {function.mu0}')
                known = all(str(mu) in numbers for mu in function.mus)
                _require(known, 'a function is of an element that is not there')
                _check_function([radials[f'{number} {mu}'] for mu in function.mus], function.ns, function.ls)
                _check_sizes(function, self.embeddings[number].ndensity)

    def all_functions(self) -> set[Function]:
        """What there is beside its coefficients, of all functions."""
        return {
            (function.mu0, tuple(sorted(zip(function.mus, function.ns, function.ls, strict=True))))
            for functions in self.functions.values()
            for function in functions
        }


def _check_sizes(function: _FastFunction, n_densities: int) -> None:
    """Hold the lists of a function against the sizes that it states."""
    combinations, rank = function.num_ms_combs, function.rank
    _require(
        len(function.mus) == rank
        and len(function.ms_combs) == combinations * rank
        and function.ndensity == n_densities
        and len(function.ctildes) == combinations * n_densities,
        'a function has lists of other lengths than it states',
    )
    within = all(abs(m) <= function.ls[index % rank] for index, m in enumerate(function.ms_combs))
    _require(within, 'a function has an m beyond its l')


def _complete(name: str, found: Mapping[str, Any], wanted: Iterable[str]) -> None:
    _require(set(found) == set(wanted), f'{name}: {", ".join(sorted(found)) or "none"} are there')
