"""A ledger for the terminal: a summary line, and a row a model with answers, cost and savings."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cluster.ledger_admin.accounting import Account, ModelAccount
from cluster.text.formatting import MISSING, count, plural

_HEADS = (
    "model",
    "answers",
    "tokens",
    "hits",
    "cached",
    "tokens\nsaved",
    "money\nspent",
    "money\nsaved",
)
_BAR = 12


def ledger_table(account: Account) -> Group:
    """Return the summary and the table. Needs about 110 columns."""
    parts: list[RenderableType] = [_line(account), _models(account.models)]
    if not any(model.prices for model in account.models):
        parts.append(Text("Money is shown for models whose settings give prices.", "dim"))
    if unmeasured := sum(model.held.unmeasured for model in account.models):
        note = (
            f"{plural(unmeasured, 'answer')} came without a count of tokens: their cost is not "
            "known."
        )
        parts.append(Text(note, "dim"))
    return Group(*parts)


def format_size(size_bytes: int) -> str:
    """Format a number of bytes: 1500 -> "2 kB"; 2500000 -> "2.5 MB"."""
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes >= 1e6 else f"{-(-size_bytes // 1000):,} kB"


def _line(account: Account) -> Text:
    found = account.summary
    line = Text(f"{account.folder}  ", "bold")
    line += Text(
        f"{plural(found.entries, 'answer')} in {plural(found.segments, 'segment')}, "
        f"{format_size(found.size_bytes)}"
    )
    if found.first_recorded:
        line += Text(
            f", recorded {found.first_recorded:%Y-%m-%d %H:%M} to "
            f"{found.last_recorded:%Y-%m-%d %H:%M} UTC",
            "dim",
        )
    return line


def _models(models: tuple[ModelAccount, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for place, head in enumerate(_HEADS):
        table.add_column(
            head,
            justify="right" if place not in (0, 4) else "left",
            no_wrap=bool(place),
            overflow="fold",
            vertical="bottom",
        )
    for model in models:
        saved = _tokens(
            model.use.saved_prompt_tokens + model.use.saved_completion_tokens,
            model.use.hits_unmeasured,
        )
        held = _tokens(
            model.held.prompt_tokens + model.held.completion_tokens, model.held.unmeasured
        )
        table.add_row(
            Text(model.model) if model.model else Text("unknown (older entries)", "dim"),
            *map(Text, (count(model.held.entries), held, count(model.use.hits))),
            _bar(model),
            Text(saved),
            Text(_money(model.spent)),
            Text(_money(model.saved), "green" if model.saved else ""),
        )
    return table


def _tokens(known: int, unmeasured: int) -> str:
    """Format a number of tokens.

    "≥ 1,200" where some answers have no count, a dash where none has one.
    """
    if unmeasured and not known:
        return MISSING
    return f"≥ {count(known)}" if unmeasured else count(known)


def _bar(model: ModelAccount) -> Text:
    """Draw the share of requests that were cached."""
    requests = model.use.hits + model.use.paid
    if not requests:
        return Text(MISSING, "dim")
    share = model.use.hits / requests
    full = round(share * _BAR)
    return Text("█" * full, "green") + Text("░" * (_BAR - full), "dim") + Text(f" {share:.0%}")


def _money(money: float | None) -> str:
    return MISSING if money is None else f"{money:,.2f}"
