"""The paper's own analyses of a pair of models, one file for each measure.

They measure the value of reflection, and whether the target follows a prompt. Ma et al., "Are Large
Language Models Good Prompt Optimizers?", arXiv 2402.02101. Pure: models are injected, nothing is
written.
"""

from optimizer.diagnostics.ablations import Ablations
from optimizer.diagnostics.causes import ByProcedure
from optimizer.diagnostics.diagnosis import MEASURES, Depth, Diagnosis, Subject, diagnose
from optimizer.diagnostics.evidence import Feedback
from optimizer.diagnostics.findings import Finding, NotMeasured, to_json
from optimizer.diagnostics.one_step import OneStep, Refinement
from optimizer.diagnostics.predictability import Predictability
from optimizer.diagnostics.reflection_bias import ReflectionBias
from optimizer.diagnostics.reflection_validity import ReflectionValidity

__all__ = [
    "MEASURES",
    "Ablations",
    "ByProcedure",
    "Depth",
    "Diagnosis",
    "Feedback",
    "Finding",
    "NotMeasured",
    "OneStep",
    "Predictability",
    "Refinement",
    "ReflectionBias",
    "ReflectionValidity",
    "Subject",
    "diagnose",
    "to_json",
]
