"""Train the built-in target model.

Run `python -m serving.training.train`; it needs the extra `train`. It trains a small Llama from
nothing on the lessons, restartably: kill it and start it again, and it goes on from its last
checkpoint. Knows nothing of Ray or of serving; `export` writes the two forms that serving loads.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

from serving.builtin.chat import END, PAD, SPECIALS, TOKEN_BY_ROLE
from serving.training.lessons import PRACTICE_BY_TASK, PRACTICE_TASKS, Turn, lesson

WORDS = r" ?[A-Za-z']+| ?-?\d{1,2}|\n| ?[^\sA-Za-z\d]|\s"
"""Pre-tokens: words, numbers of one or two digits with their sign, single marks."""
SHOW_EVERY_STEPS = 50
SAVE_EVERY_STEPS = 250


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the learned weights."""

    seed: int = 0
    vocabulary: int = 2048
    width: int = 192
    layers: int = 4
    heads: int = 4
    hidden: int = 512
    longest: int = 640
    """Maximum number of tokens; longer conversations are dropped."""
    batch_tokens: int = 8_000
    total_tokens: int = 30_500_000
    practice_tokens: int = 1_600_000
    """Tokens read after `total_tokens`, with the shares and tasks of lessons.PRACTICE_BY_TASK
    and PRACTICE_TASKS.
    """
    practice_rate: float = 0.9
    """Factor of the learning rates at the start of the practice; it falls to nothing."""
    learning_rate: float = 3e-3
    muon_rate: float = 5e-3
    warmup: float = 0.02
    """Share of the run over which the rate rises; it falls over the last half."""
    pool: int = 512
    """Conversations drawn at once and grouped by length."""


def learn_tokenizer(recipe: Recipe) -> Tokenizer:
    """Return a byte-level BPE with single tokens for numbers.

    These are the numbers from -99 to 99, with and without a space before them.
    """
    rng = Random(recipe.seed)
    texts = (turn.text for _ in range(12_000) for turn in lesson(rng))
    numbers = (" ".join([f" {n}", f"({n}", f"(-{n}", f" -{n}"] * 400) for n in range(100))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=list(SPECIALS),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator((text for source in (numbers, texts) for text in source), trainer)
    return tokenizer


def new_model(recipe: Recipe, tokenizer: Tokenizer) -> LlamaForCausalLM:
    """Return a model with random weights."""
    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.width,
        intermediate_size=recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.token_to_id(PAD),
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(END),
    )
    return LlamaForCausalLM(config)


def id_of(token: str, tokenizer: Tokenizer) -> int:
    """Return the id of a token that the tokenizer is known to have."""
    found: int | None = tokenizer.token_to_id(token)
    assert found is not None, f"the tokenizer has no {token}"
    return found


def encode(
    conversations: list[list[Turn]], tokenizer: Tokenizer
) -> list[tuple[list[int], list[float]]]:
    """Return token ids, and the weight of each in the loss.

    Only an assistant's pieces, and the end of its message, have a weight.
    """
    turns = [turn for conversation in conversations for turn in conversation]
    encodings = iter(tokenizer.encode_batch([turn.text for turn in turns]))
    end = id_of(END, tokenizer)
    rows = []
    for conversation in conversations:
        ids: list[int] = []
        weights: list[float] = []
        for turn in conversation:
            encoding = next(encodings)
            by_character = [piece.weight for piece in turn.pieces for _ in piece.text]
            ids += [id_of(TOKEN_BY_ROLE[turn.role], tokenizer), *encoding.ids, end]
            weights += [
                0.0,
                *(min(by_character[start:stop], default=0.0) for start, stop in encoding.offsets),
                float(turn.role == "assistant"),
            ]
        rows.append((ids, weights))
    return rows


def batches(
    recipe: Recipe, tokenizer: Tokenizer, draw: Callable[[], list[Turn]], rng: Random
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (ids, weights) without end, both of shape [conversations, tokens].

    They are padded at the end, with about `batch_tokens` each.
    """
    pad = id_of(PAD, tokenizer)
    while True:
        rows = encode([draw() for _ in range(recipe.pool)], tokenizer)
        rows = sorted(
            (row for row in rows if len(row[0]) <= recipe.longest), key=lambda row: len(row[0])
        )
        groups: list[list[tuple[list[int], list[float]]]] = [[]]
        for row in rows:
            if (len(groups[-1]) + 1) * len(row[0]) > recipe.batch_tokens:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        for group in groups:
            length = max(len(ids) for ids, _ in group)
            yield (
                torch.tensor([ids + [pad] * (length - len(ids)) for ids, _ in group]),
                torch.tensor([weights + [0.0] * (length - len(weights)) for _, weights in group]),
            )


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the weighted mean loss."""
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    wanted = weights[:, 1:] > 0
    # Logits only where a token has weight: the vocabulary makes them the largest tensor.
    logits = model.lm_head(hidden[wanted]).float()
    losses = torch.nn.functional.cross_entropy(logits, ids[:, 1:][wanted], reduction="none")
    return (losses * weights[:, 1:][wanted]).sum() / weights[:, 1:][wanted].sum()


def optimizers_of(model: LlamaForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices inside the layers, AdamW for embeddings and norms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "layers" in name]
    others = [p for name, p in model.named_parameters() if not (p.ndim == 2 and "layers" in name)]
    return [
        torch.optim.Muon(
            matrices, lr=recipe.muon_rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(others, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def rate_at(tokens: int, recipe: Recipe) -> float:
    """Return the factor of the learning rate after so many tokens.

    It rises, is level, and falls to a fiftieth over the last half; then comes the practice.
    """
    done = tokens / recipe.total_tokens
    if done >= 1:
        return recipe.practice_rate * max(
            0.0, 1 - (tokens - recipe.total_tokens) / recipe.practice_tokens
        )
    if done < recipe.warmup:
        return done / recipe.warmup
    return 1.0 if done < 0.5 else max(0.02, 2.0 * (1.0 - done))


class Training:
    """Model, optimizers and progress, saved together so that a run can go on."""

    def __init__(self, recipe: Recipe, folder: Path, device: str) -> None:
        self.recipe, self.folder, self.device = recipe, folder, device
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer_file = folder / "tokenizer.json"
        if tokenizer_file.exists():
            self.tokenizer = Tokenizer.from_file(str(tokenizer_file))
        else:
            self.tokenizer = learn_tokenizer(recipe)
            self.tokenizer.save(str(tokenizer_file))
        self.model = new_model(recipe, self.tokenizer).to(device)
        self.optimizers = optimizers_of(self.model, recipe)
        self.tokens, self.steps = 0, 0
        if (folder / "checkpoint.pt").exists():
            self._load()

    def _load(self) -> None:
        state = torch.load(
            self.folder / "checkpoint.pt", map_location=self.device, weights_only=True
        )
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.tokens, self.steps = state["tokens"], state["steps"]

    def save(self) -> None:
        """Save a checkpoint."""
        state = {
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "tokens": self.tokens,
            "steps": self.steps,
        }
        # Written beside the old one and renamed: a kill in between leaves a whole checkpoint.
        torch.save(state, self.folder / "checkpoint.new")
        (self.folder / "checkpoint.new").replace(self.folder / "checkpoint.pt")
        (self.folder / "recipe.json").write_text(json.dumps(asdict(self.recipe), indent=1))

    def run(self, stop_after_s: float) -> None:
        """Train until everything is read or the time is over, and save."""
        deadline = time.monotonic() + stop_after_s
        rng = Random(f"{self.recipe.seed}-{self.steps}")
        self._read_until(self.recipe.total_tokens, lambda: lesson(rng), deadline, rng)
        practice = partial(lesson, rng, PRACTICE_BY_TASK, PRACTICE_TASKS)
        self._read_until(
            self.recipe.total_tokens + self.recipe.practice_tokens, practice, deadline, rng
        )
        self.save()

    def _read_until(
        self, tokens: int, draw: Callable[[], list[Turn]], deadline: float, rng: Random
    ) -> None:
        source = batches(self.recipe, self.tokenizer, draw, rng)
        shown, shown_tokens = time.monotonic(), self.tokens
        losses: list[float] = []
        while self.tokens < tokens and time.monotonic() < deadline:
            losses.append(self._step(*next(source)))
            if self.steps % SHOW_EVERY_STEPS == 0:
                rate = (self.tokens - shown_tokens) / (time.monotonic() - shown)
                loss, left_min = sum(losses) / len(losses), (tokens - self.tokens) / rate / 60
                print(
                    f"step {self.steps}  {self.tokens / 1e6:.2f} of {tokens / 1e6:.0f} M tokens  "
                    f"loss {loss:.4f}  "
                    f"{rate:,.0f} tokens/s  {left_min:.0f} min left",
                    flush=True,
                )
                shown, shown_tokens, losses = time.monotonic(), self.tokens, []
            if self.steps % SAVE_EVERY_STEPS == 0:
                self.save()

    def _step(self, ids: torch.Tensor, weights: torch.Tensor) -> float:
        factor = rate_at(self.tokens, self.recipe)
        for optimizer, rate in zip(
            self.optimizers, (self.recipe.muon_rate, self.recipe.learning_rate), strict=True
        ):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        with torch.autocast(self.device, dtype=torch.bfloat16):
            loss = loss_of(self.model, ids.to(self.device), weights.to(self.device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.tokens += int((ids != 0).sum())
        self.steps += 1
        return float(loss.item())


def main() -> None:
    """Train by the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("results/builtin-target"),
        help="folder of the checkpoints",
    )
    parser.add_argument(
        "--minutes", type=float, default=180.0, help="stop (and save) after this time"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for name, value in asdict(Recipe()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = vars(parser.parse_args())
    folder, minutes, device = options.pop("folder"), options.pop("minutes"), options.pop("device")
    training = Training(Recipe(**options), folder, device)
    print(
        f"{sum(p.numel() for p in training.model.parameters()) / 1e6:.2f} M parameters on "
        f"{device}, "
        f"{torch.get_num_threads()} threads",
        flush=True,
    )
    training.run(minutes * 60)


if __name__ == "__main__":
    main()
