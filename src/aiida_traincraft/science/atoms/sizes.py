"""How large a structure may become: a slip in a config must not fill the memory."""

from __future__ import annotations

LARGEST_STRUCTURE = 100_000


def check_size(n_atoms: float, what: str) -> None:
    """Refuse a structure of too many atoms, before it is built.

    Parameters
    ----------
    n_atoms
        Atoms that it would have.
    what
        The keys that ask for it, such as ``"repeat"``.

    Raises
    ------
    ValueError
        If there would be more than ``LARGEST_STRUCTURE``.
    """
    if not n_atoms <= LARGEST_STRUCTURE:
        raise ValueError(
            f'{what} asks for {n_atoms:.3g} atoms, more than the {LARGEST_STRUCTURE} of the largest structure'
        )
