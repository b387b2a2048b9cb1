"""Section ``[codes]``: AiiDA codes and how their jobs run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiida_traincraft.science.config.base import StrictModel


class CodeConfig(StrictModel):
    """One AiiDA code with the options of its jobs."""

    code: str
    """Label (``name@computer``) or UUID of the code."""
    max_wallclock_seconds: int = Field(default=3600, ge=1)
    """Time limit of one job (s); of one structure where many share a job."""
    num_machines: int = Field(default=1, ge=1)
    """Nodes per job."""
    num_mpiprocs_per_machine: int = Field(default=1, ge=1)
    """MPI processes per node; with a single process in all, no MPI launcher is used."""
    num_cores_per_mpiproc: int | None = Field(default=None, ge=1)
    """Cores per process."""
    omp_num_threads: int = Field(default=1, ge=1)
    """Threads of one process."""
    queue_name: str | None = None
    """Queue of the scheduler."""
    account: str | None = None
    """Account that pays."""
    qos: str | None = None
    """Quality of service."""
    max_memory_kb: int | None = Field(default=None, ge=1)
    """Memory per node (kB)."""
    custom_scheduler_commands: str = ''
    """Further lines of the job script's header, such as ``#SBATCH --constraint=...``."""
    mpirun_extra_params: list[str] = []
    """Further arguments of the MPI launcher."""
    prepend_text: str = ''
    """Shell lines before the command, such as ``module load``."""


class TorchCodeConfig(CodeConfig):
    """A code whose model runs on a device of torch; its queue and resources must offer that device."""

    device: Literal['cpu', 'cuda', 'mps', 'xpu'] = 'cpu'
    """Where the model runs."""


class CodesConfig(StrictModel):
    """Codes by role; the defaults are those that ``traincraft setup`` makes."""

    ase: CodeConfig = CodeConfig(code='traincraft-ase@localhost')
    """Python with ase: labels of a teacher, initial sampling."""
    pace: CodeConfig = CodeConfig(code='traincraft-pace@localhost')
    """Python with python-ace: linear fits, active sets, exploration, evaluation."""
    pacemaker: CodeConfig = CodeConfig(code='traincraft-pacemaker@localhost')
    """Python with python-ace and tensorpotential: nonlinear fits."""
    mace: TorchCodeConfig = TorchCodeConfig(code='traincraft-mace@localhost')
    """Python with mace-torch: exploration, evaluation, labels by a MACE potential."""
    mace_train: TorchCodeConfig = TorchCodeConfig(code='traincraft-mace@localhost')
    """Python with mace-torch: training."""
    pw: CodeConfig = CodeConfig(code='traincraft-pw@localhost')
    """pw.x of Quantum ESPRESSO."""

    def of(self, role: str) -> CodeConfig:
        """The code of a role."""
        code: CodeConfig = getattr(self, role)
        return code


CODE_ROLES = tuple(CodesConfig.model_fields)
"""Roles that a campaign may need codes for."""
