"""A training whose job is killed goes on from its checkpoint, and the graph shows both runs."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from aiida import orm

pytestmark = pytest.mark.long


def kill_when_started(workdir: Path, done: threading.Event) -> None:
    """SIGKILL all that runs in the first job folder with a checkpoint."""
    while not done.wait(0.1):
        for checkpoint in workdir.glob('*/*/*/restart/*.pt'):
            folder = checkpoint.parents[1]
            # The training must have gone on from its very first checkpoint.
            time.sleep(0.5)
            for entry in Path('/proc').glob('[0-9]*'):
                try:
                    if (entry / 'cwd').resolve() == folder:
                        os.kill(int(entry.name), signal.SIGKILL)
                except OSError:
                    continue
            return


def test_a_killed_training_goes_on(
    run_workchain, make_campaign_content, mace_training, mace_code, copper_dataset, tmp_path
):
    computer = orm.Computer(
        label='killed',
        hostname='localhost',
        transport_type='core.local',
        scheduler_type='core.direct',
        workdir=str(tmp_path),
    ).store()
    computer.set_minimum_job_poll_interval(0.0)
    computer.set_default_mpiprocs_per_machine(1)
    computer.configure(safe_interval=0.0, use_login_shell=False)
    python = str(mace_code.filepath_executable)
    code = orm.InstalledCode(computer, python, label='mace', prepend_text='unset PYTHONPATH').store()
    content = make_campaign_content()
    content['training'] = mace_training | {'committee': 1, 'max_num_epochs': 60}
    content['codes'] |= {role: {'code': 'mace@killed'} for role in ('mace', 'mace_train')}
    done = threading.Event()
    killer = threading.Thread(target=kill_when_started, args=(tmp_path.resolve(), done))
    killer.start()
    try:
        codes = {'mace': code, 'mace_train': code}
        node = run_workchain('traincraft.train.mace', content, dataset=copper_dataset, seed=orm.Int(1), codes=codes)
    finally:
        done.set()
        killer.join()
    assert node.is_finished_ok, node.exit_message
    jobs = [job for job in node.called_descendants if job.process_label == 'MaceTrainCalculation']
    killed, finished = sorted(jobs, key=lambda job: job.pk)
    assert not killed.is_finished_ok
    assert killed.outputs.history['epochs']
    assert finished.inputs.checkpoint.uuid == killed.outputs.checkpoint.uuid
    assert finished.outputs.summary['resumed_from'] == int(finished.inputs.checkpoint.filename.split('-')[-1][:-3])
    assert finished.outputs.potential.uuid == node.outputs.potential.uuid


def test_killed_jobs_of_each_kind_change_no_model(
    run_workchain, make_campaign_content, mace_training, mace_code, copper_dataset, dying
):
    content = make_campaign_content()
    content['training'] = mace_training | {'committee': 1, 'max_num_epochs': 3}
    content['codes'] |= {role: {'code': 'mace@localhost'} for role in ('mace', 'mace_train')}
    dies, killed = dying(mace_code)
    undisturbed, node = (
        run_workchain(
            'traincraft.train',
            content,
            dataset=copper_dataset,
            test_set=copper_dataset,
            seed=orm.Int(1),
            codes={'mace': code, 'mace_train': code},
        )
        for code in (mace_code, dies)
    )
    assert node.is_finished_ok, node.exit_message
    assert killed() == ['evaluate', 'mace_data', 'mace_train']
    assert len([job for job in node.called_descendants if job.exit_status == 300]) == 3
    assert node.outputs.errors['overall'] == undisturbed.outputs.errors['overall']
    assert node.outputs.potential.e0 == undisturbed.outputs.potential.e0
