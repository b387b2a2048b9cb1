"""Ports and exit codes of a campaign."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_traincraft.data.dataset import DatasetData
from aiida_traincraft.data.ledger import LedgerData
from aiida_traincraft.data.potentials.base import PotentialData
from aiida_traincraft.data.validation import ValidationData

# What is not here is a success.
STOP_CODES = {
    'quiet': 'STOPPED_NOTHING_UNCERTAIN',
    'plateau': 'STOPPED_NO_GAIN',
    'labels': 'STOPPED_LABEL_BUDGET',
    'cycles': 'STOPPED_MAX_CYCLES',
}


def define_campaign_ports(spec: Any) -> None:
    """Define inputs and outputs."""
    spec.input_namespace('files', valid_type=orm.SinglefileData, dynamic=True, help='Files that geometry sources read.')
    spec.input_namespace(
        'models',
        valid_type=orm.SinglefileData,
        dynamic=True,
        help='Files of foundation models, by who starts from them.',
    )
    spec.output('potential', valid_type=PotentialData, required=False, help='The last potential.')
    spec.output('dataset', valid_type=DatasetData, required=False, help='What it was trained on.')
    spec.output('test_set', valid_type=DatasetData, required=False, help='The sealed test set.')
    spec.output('ledger', valid_type=LedgerData, required=False, help='What became of every structure.')
    spec.output('student', valid_type=PotentialData, required=False, help='Potential taught by the last one.')
    spec.output('student_dataset', valid_type=DatasetData, required=False, help='What the student learnt from.')
    spec.output('student_errors', valid_type=orm.Dict, required=False, help='Its errors on the test set.')
    spec.output('errors', valid_type=orm.Dict, required=False, help='Errors of the last potential on the test set.')
    spec.output_namespace(
        'validation', valid_type=ValidationData, dynamic=True, help='What validators found of the last potential.'
    )
    spec.output('dielectric', valid_type=PotentialData, required=False, help='Model of dipoles for the spectra.')


def define_exit_codes(spec: Any) -> None:
    """Define what a campaign may end with: 400 to 408 are failures, 500 to 503 criteria beside the target."""
    spec.exit_code(400, 'ERROR_SAMPLING_FAILED', message='The first structures could not be sampled: {reason}')
    spec.exit_code(401, 'ERROR_LABELLING_FAILED', message='Labelling failed: {reason}')
    spec.exit_code(402, 'ERROR_TRAINING_FAILED', message='Training failed: {reason}')
    spec.exit_code(403, 'ERROR_EXPLORATION_FAILED', message='Exploration failed: {reason}')
    spec.exit_code(406, 'ERROR_DISTILLATION_FAILED', message='The distillation failed: {reason}')
    spec.exit_code(404, 'ERROR_NOTHING_SELECTED', message='No {which} structure passed the physical checks{more}.')
    spec.exit_code(
        405,
        'ERROR_BUDGET_TOO_SMALL',
        message='loop.max_labels is {limit}, but test set and first structures alone need {needed} labels.',
    )
    spec.exit_code(500, 'STOPPED_NOTHING_UNCERTAIN', message='{reason}')
    spec.exit_code(501, 'STOPPED_NO_GAIN', message='{reason}')
    spec.exit_code(502, 'STOPPED_LABEL_BUDGET', message='{reason}')
    spec.exit_code(503, 'STOPPED_MAX_CYCLES', message='{reason}')
    spec.exit_code(407, 'ERROR_VALIDATION_FAILED', message='The validation could not be run: {reason}')
    spec.exit_code(408, 'ERROR_LIMITS_NOT_KEPT', message='The potential does not keep its limits: {reason}')
