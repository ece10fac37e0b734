"""Maps the request for an evaluation to its settings, and checks it; see request_mapping."""

from pathlib import Path

from cluster.config.labels import slug
from cluster.evaluation.data import load_whole
from cluster.evaluation.preparation import questions_of
from cluster.evaluation.settings import EvaluationSettings
from cluster.experiment.preflight import Question
from cluster.service.access.admission import expect_evaluable, expect_few_answers
from cluster.service.access.graders import grader_for_run
from cluster.service.core.backend import Principal
from cluster.service.core.settings import ServiceSettings
from cluster.service.jobs.request_mapping import data_path, expect_visible, file_name
from cluster.service.schemas import EvaluationRequest, PromptRequest
from cluster.service.stores.job_store import Store
from optimizer.prompt import Prompt
from serving.settings.validation import validated
from serving.storage import Folder, open_folder


def evaluation_settings(
    request: EvaluationRequest, service: ServiceSettings, out: Folder
) -> EvaluationSettings:
    """Return the settings of the evaluation that a request describes.

    Args:
        request: The request.
        service: The service's settings, with the models that it offers.
        out: The results folder.

    Raises:
        SettingsError: The request names something that is not offered, or makes no evaluation.
        NotFound: The file does not exist.
    """
    models, store = expect_evaluable(request, service), Store(service.storage)
    given = request.model_dump(mode="json", include={"name", "sampling", "budget"})
    name = file_name(request.file, store)
    task: dict[str, object] = {
        "source": data_path(request.file, store),
        "label": slug(Path(name).stem),
        "file_name": name,
        "columns": request.columns.model_dump() if request.columns else None,
    }
    if request.grader is not None:
        task["scorer"] = grader_for_run(request.grader, service.components, models)
    return validated(
        EvaluationSettings,
        given
        | {
            "prompts": [_prompt(prompt) for prompt in request.prompts],
            "task": task,
            "target": models[request.target],
            "least_score": request.min,
            "out": out.absolute().place,
        },
    )


def checked_questions(
    request: EvaluationRequest, service: ServiceSettings, out: str, principal: Principal
) -> tuple[Question, ...]:
    """Check a request with its data, and return the questions to its models that are asked first.

    It is for a process that can be killed; see request_mapping.checked.

    Raises:
        NotFound: The file does not exist, or the principal may not see it.
        UserError: The evaluation cannot be run.
    """
    expect_evaluable(request, service)
    expect_visible(request.file, Store(service.storage), principal)
    settings = evaluation_settings(request, service, open_folder(out))
    data = load_whole(settings.task)
    expect_few_answers(len(data.examples), request, service)
    return questions_of(settings, data)


def _prompt(given: PromptRequest) -> dict[str, object]:
    prompt = Prompt(given.text) if given.text is not None else Prompt.from_json(given.prompt or {})
    return {"label": given.label, "prompt": prompt.to_json()}
