"""Write the trained model in the two forms that serving loads.

Run `python -m serving.training.export`; it needs the extra `train`. Both forms hold the weights in
float16 and both compute in float32 on a CPU: so the two give the same greedy answers.
"""

import argparse
import json
from pathlib import Path

import torch
from ctranslate2.converters import TransformersConverter
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from serving.builtin import TARGET_FOLDER
from serving.builtin.chat import END, PAD, SPECIALS, TEMPLATE
from serving.training.train import Recipe, new_model


def export(run: Path, target: Path) -> None:
    """Export a training folder to `target` and `target`/ctranslate2.

    The training folder has checkpoint.pt, recipe.json and tokenizer.json.
    """
    recipe = Recipe(**json.loads((run / "recipe.json").read_text()))
    tokenizer = Tokenizer.from_file(str(run / "tokenizer.json"))
    model = new_model(recipe, tokenizer)
    state = torch.load(run / "checkpoint.pt", map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    _save(model.to(torch.float16), tokenizer, target)
    converter = TransformersConverter(str(target), load_as_float16=True)
    converter.convert(str(target / "ctranslate2"), quantization="float16", force=True)
    config = target / "ctranslate2" / "config.json"
    # CTranslate2 refuses a config without a start token; this model never begins from nothing.
    named = {**json.loads(config.read_text()), "bos_token": END, "unk_token": PAD}
    config.write_text(json.dumps(named, indent=1) + "\n")
    (target / "recipe.json").write_text(
        json.dumps({**vars(recipe), "trained_tokens": state["tokens"]}, indent=1) + "\n"
    )
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    print(f"{target}: {size / 1e6:.1f} MB after {state['tokens'] / 1e6:.1f} M tokens")


def _save(model: LlamaForCausalLM, tokenizer: Tokenizer, target: Path) -> None:
    model.save_pretrained(target)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=list(SPECIALS),
        chat_template=TEMPLATE,
        model_max_length=model.config.max_position_embeddings,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(target)


def main() -> None:
    """Export by the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=Path("results/builtin-target"), help="the training folder"
    )
    parser.add_argument("--target", type=Path, default=TARGET_FOLDER)
    options = parser.parse_args()
    export(options.folder, options.target)


if __name__ == "__main__":
    main()
