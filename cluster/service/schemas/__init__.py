"""The schemas of the HTTP API: the service's requests and answers.

They are shaped like OpenAI's files and fine-tuning jobs. Requests are strict, answers are frozen.
Times are Unix seconds, accuracies are shares from 0 to 1, None is "not measured". Ids are `file-…`,
`opt-…` and `eval-…`; a trial's id is its name in the experiment, a candidate's that of its prompt.
Knows no HTTP and no Ray.
"""

from cluster.config.component_spec import STORED
from cluster.service.schemas.account import (
    AuditEntry,
    Catalogue,
    Estimate,
    Me,
    OfferedModel,
    Quota,
    TaskOutlook,
)
from cluster.service.schemas.base import Answer, Error, ErrorBody, Page
from cluster.service.schemas.evaluations import (
    EVALUATION_ID,
    Evaluation,
    EvaluationRequest,
    EvaluationSummary,
    Job,
    JobKind,
    PromptRequest,
    PromptScore,
    kind_of,
)
from cluster.service.schemas.examples import ExamplePart, WorkedExample
from cluster.service.schemas.files import FileDeleted, Row, StoredFile
from cluster.service.schemas.jobs import (
    ENDS,
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
from cluster.service.schemas.results import (
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
    "EVALUATION_ID",
    "STORED",
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
    "Evaluation",
    "EvaluationRequest",
    "EvaluationSummary",
    "Event",
    "EventKind",
    "ExamplePart",
    "Fault",
    "FileDeleted",
    "Job",
    "JobKind",
    "JobStatus",
    "Me",
    "OfferedModel",
    "Optimization",
    "OptimizationRequest",
    "Page",
    "PromptRequest",
    "PromptScore",
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
    "kind_of",
]
