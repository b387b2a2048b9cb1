"""The DFT calculation behind a label."""

from __future__ import annotations

from aiida import orm
from aiida.common.links import LinkType
from aiida_pseudo.data.pseudo import UpfData

from aiida_traincraft.data.frames.label import LabelData


def calculation_of(label: str) -> orm.QueryBuilder:
    """One query from a label to what calculated it, whether pw.x ran for it alone or in a batch.

    Parameters
    ----------
    label
        UUID of a :class:`LabelData`.

    Returns
    -------
    QueryBuilder
        One row per pseudopotential: k-point mesh (three numbers of divisions); the CalcJob; its code; element, MD5 and
        file of the pseudopotential; cutoffs (Ry) of wave functions and density. No row for a label of a teacher.
    """
    query = orm.QueryBuilder()
    query.append(LabelData, filters={'uuid': label}, tag='label', project='attributes.kpoints')
    query.append(orm.CalcFunctionNode, with_outgoing='label', tag='made', project=[])
    query.append(orm.Data, with_outgoing='made', tag='numbers', project=[])
    query.append(
        orm.CalcJobNode,
        with_outgoing='numbers',
        edge_filters={'type': LinkType.CREATE.value},
        tag='job',
        project='*',
    )
    query.append(orm.Data, with_outgoing='job', edge_filters={'label': 'code'}, tag='code', project='*')
    query.append(
        UpfData,
        with_outgoing='job',
        tag='pseudo',
        project=['attributes.element', 'attributes.md5', 'attributes.filename'],
    )
    query.append(
        orm.Dict,
        with_outgoing='job',
        edge_filters={'label': 'parameters'},
        tag='keywords',
        project=['attributes.SYSTEM.ecutwfc', 'attributes.SYSTEM.ecutrho'],
    )
    return query.distinct()


def describe_calculation(label: LabelData) -> list[str]:
    """The same in words; empty for a label of a teacher."""
    rows = calculation_of(label.uuid).all()
    if not rows:
        return []
    mesh, job, code, *_, ecutwfc, ecutrho = rows[0]
    lines = [
        f'{job.process_label}<{job.pk}> with code {code.full_label}: cutoffs {ecutwfc:g} and {ecutrho:g} Ry, '
        f'k-points {" x ".join(map(str, mesh))}'
    ]
    lines += [
        f'pseudopotential of {element}: {filename}, MD5 {md5}'
        for element, md5, filename in sorted({(row[3], row[4], row[5]) for row in rows})
    ]
    return lines
