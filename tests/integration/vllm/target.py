"""The built-in target under vLLM on CPUs, and the questions on which it is compared with itself
under CTranslate2.
"""

from random import Random

from optimizer.tasks.generated import GENERATED
from optimizer.types import Request, Sampling
from serving.settings.vllm import VLLMSettings
from serving.training.evaluate import conditions, fresh

SETTINGS = VLLMSettings(
    model="builtin:target", gpus=0, dtype="float32", enforce_eager=True, cpu_kv_cache_gib=0.5
)
ITEMS_A_CONDITION = 10


def questions() -> list[Request]:
    """200: ten items of each task under each of its five prompts, with and without demonstrations."""
    return [
        Request(prompt.render(example.input), Sampling(max_tokens=512))
        for name, task in GENERATED.items()
        for prompt in conditions(task, Random(name)).values()
        for example in fresh(task, ITEMS_A_CONDITION)
    ]
