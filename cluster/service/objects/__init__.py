"""What goes over the wire: the service's requests and answers, shaped like OpenAI's files and fine-tuning jobs.

Requests are strict, answers are frozen. Times are Unix seconds, accuracies are shares from 0 to 1, None is "not measured". Ids are
`file-…` and `opt-…`; a trial's id is its name in the experiment, a candidate's that of its prompt. Knows no HTTP and no Ray.
"""

from cluster.service.objects.base import Answer, Error, ErrorBody, Page
from cluster.service.objects.desk import AuditEntry, Catalogue, Estimate, Me, OfferedModel, Quota, TaskOutlook
from cluster.service.objects.examples import ExamplePart, WorkedExample
from cluster.service.objects.files import FileDeleted, Row, StoredFile
from cluster.service.objects.jobs import (
    ENDS,
    KEPT,
    TERMINAL,
    Best,
    Event,
    EventKind,
    Fault,
    JobStatus,
    Optimization,
    OptimizationRequest,
    TaskRequest,
    TrialStatus,
    Usage,
)
from cluster.service.objects.results import (
    CallFailures,
    Candidate,
    CandidateDetail,
    ComparedItem,
    Comparison,
    CurvePoint,
    DiffPiece,
    Response,
    SplitComparison,
    StepSeen,
    Trial,
)

__all__ = [
    "ENDS",
    "KEPT",
    "TERMINAL",
    "Answer",
    "AuditEntry",
    "Best",
    "CallFailures",
    "Candidate",
    "CandidateDetail",
    "Catalogue",
    "ComparedItem",
    "Comparison",
    "CurvePoint",
    "DiffPiece",
    "Error",
    "ErrorBody",
    "Estimate",
    "Event",
    "EventKind",
    "ExamplePart",
    "Fault",
    "FileDeleted",
    "JobStatus",
    "Me",
    "OfferedModel",
    "Optimization",
    "OptimizationRequest",
    "Page",
    "Quota",
    "Response",
    "Row",
    "SplitComparison",
    "StepSeen",
    "StoredFile",
    "TaskOutlook",
    "TaskRequest",
    "Trial",
    "TrialStatus",
    "Usage",
    "WorkedExample",
]
