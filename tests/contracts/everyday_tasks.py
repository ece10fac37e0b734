"""Everyday data of three kinds, as a user brings them: tickets, order mails, incident notes.

The rows are drawn by a seeded generator, so that every test reads the same ones; `write` writes
them in any form that can be read.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

Row = dict[str, Any]

DEPARTMENTS = ("billing", "delivery", "returns", "account", "technical", "other")
"""The labels of the tickets."""

_TICKETS: dict[str, tuple[str, ...]] = {
    "billing": (
        "I was charged twice for order {order}, {amount} each time. Please refund one of them.",
        "The invoice for {month} shows {amount}, but we agreed on less. Can you check it?",
        "My card was debited {amount} although I cancelled the plan in {month}.",
        "Could you send me the VAT invoice for order {order}? Our accounting asks for it.",
    ),
    "delivery": (
        "Order {order} was due on {day} and the tracking page has not changed since.",
        "The courier left the {thing} with a neighbour whom nobody here knows.",
        "Can you deliver the {thing} to my office instead? It is order {order}.",
        "Half of my parcel is missing: the {thing} came, the rest of {order} did not.",
    ),
    "returns": (
        "The {thing} does not fit. How do I send it back, and who pays for that?",
        "I returned the {thing} on {day} and have not seen my money ({amount}) yet.",
        "The return label for order {order} cannot be scanned at the post office.",
        "I would like to exchange the {thing} for a larger one, please.",
    ),
    "account": (
        "I cannot log in since {day}: the code for my phone never arrives.",
        "Please change the e-mail address of my account, {name} has left our company.",
        "Delete my account and all data with it. Customer number {order}.",
        "How do I add {name} as a second user to our account?",
    ),
    "technical": (
        "The {thing} switches itself off after ten minutes, even when it is charged.",
        "The app closes whenever I open the page of order {order} (Android 14).",
        "After the update on {day} the {thing} does not connect to the network any more.",
        "Error E-{code} on the display of the {thing}. What does it mean?",
    ),
    "other": (
        "Do you sponsor sports clubs? Ours plays in the second league since {month}.",
        "I am writing a thesis on online shops. Would {name} have time for an interview?",
        "Are you hiring in the warehouse? I could begin in {month}.",
        "Just wanted to say thank you to {name}, the best service in years!",
    ),
}
_OPENINGS = ("Hello,", "Hi there,", "Good morning,", "Dear team,", "To whom it may concern,", "")
_CLOSINGS = (
    "Best regards, {name}",
    "Thanks, {name}",
    "{name}",
    "Kind regards\n{name}",
    "Please answer soon. {name}",
)
_NAMES = (
    "Anna Lindqvist",
    "Bilal Haddad",
    "Chen Wei",
    "Dorota Nowak",
    "Emeka Obi",
    "Fiona O'Hara",
    "Greta Müller",
    "Hiroshi Tanaka",
    "Inês Carvalho",
    "Jonas Berg",
)
_THINGS = (
    "lamp",
    "headset",
    "kettle",
    "router",
    "backpack",
    "desk chair",
    "monitor",
    "coffee mill",
)
_MONTHS = ("January", "March", "May", "July", "September", "November")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
_SERVICES = ("checkout", "search", "login", "image store", "mail queue", "reporting")
_CAUSES = (
    "an expired certificate",
    "a full disk on the primary database",
    "a release with a wrong time-out",
    "a switch that was replaced without a backup",
    "too many open connections after a sale began",
)
_MENDS = (
    "the certificate was renewed",
    "old logs were removed and the disk was enlarged",
    "the release was taken back",
    "traffic was moved to the second site",
    "the limit of connections was raised",
)


def tickets(count: int = 150, seed: int = 0) -> list[Row]:
    """Return support tickets with the columns `text` and `label`, one of DEPARTMENTS each."""
    rng, rows = Random(f"tickets {seed}"), dict[str, Row]()
    while len(rows) < count:
        label = DEPARTMENTS[len(rows) % len(DEPARTMENTS)]
        body = f"{rng.choice(_OPENINGS)}\n{rng.choice(_TICKETS[label])}\n{rng.choice(_CLOSINGS)}"
        text = _filled(body, rng)
        rows.setdefault(text, {"text": text, "label": label})
    return list(rows.values())


def order_mails(count: int = 80, seed: int = 0) -> list[Row]:
    """Return mails with the columns `mail` and `order`: the JSON object that they ask for."""
    rng, rows = Random(f"orders {seed}"), list[Row]()
    for number in range(count):
        name, things = rng.choice(_NAMES), rng.sample(_THINGS, rng.randint(1, 3))
        items = [{"name": thing, "quantity": rng.randint(1, 12)} for thing in things]
        express, reference = rng.random() < 0.4, f"PO-{1000 + number}"
        wanted = " and ".join(f"{item['quantity']} x {item['name']}" for item in items)
        mail = (
            f"Subject: Order {reference}\n\n{rng.choice(_OPENINGS[:-1])}\n"
            f"please send us {wanted}{', by express' if express else ''}.\n"
            f"Our reference is {reference}.\n\n{name}"
        )
        order = {"customer": name, "reference": reference, "express": express, "items": items}
        rows.append({"mail": mail, "order": order})
    return rows


def incident_notes(count: int = 60, seed: int = 0) -> list[Row]:
    """Return notes with the columns `notes`, `summary` (one sentence) and `severity` (1 to 3)."""
    rng, rows = Random(f"incidents {seed}"), list[Row]()
    for number in range(count):
        service, cause, mend = rng.choice(_SERVICES), rng.choice(_CAUSES), rng.choice(_MENDS)
        hour, minutes, who = rng.randint(0, 22), rng.randint(5, 55), rng.choice(_NAMES)
        notes = (
            f"INC-{400 + number}\n{hour:02}:10 alarm: {service} answers slowly\n"
            f"{hour:02}:14 {who} looks at it, errors at {rng.randint(3, 90)}%\n"
            f"{hour:02}:25 cause seems to be {cause}\n"
            f"{hour:02}:{30 + minutes // 3} {mend}, errors fall\n"
            f"{hour + 1:02}:00 closed"
        )
        summary = (
            f"The {service} service was slow for {minutes} minutes because of {cause}; {mend}."
        )
        rows.append({"notes": notes, "summary": summary, "severity": rng.randint(1, 3)})
    return rows


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows as the path's ending says: .csv, .tsv, .jsonl, .json or .parquet.

    In a .csv and .tsv file a value that is no text is written as JSON.
    """
    if path.suffix in (".csv", ".tsv"):
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            table.writerow(rows[0])
            table.writerows([[_cell(row[name]) for name in rows[0]] for row in rows])
    elif path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(list(rows), indent=1), encoding="utf-8")
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), path)
    return path


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _filled(text: str, rng: Random) -> str:
    return text.format(
        order=rng.randint(10_000, 99_999),
        amount=f"{rng.randint(5, 900)}.{rng.randint(0, 99):02} EUR",
        month=rng.choice(_MONTHS),
        day=rng.choice(_DAYS),
        thing=rng.choice(_THINGS),
        name=rng.choice(_NAMES),
        code=rng.randint(10, 99),
    ).strip()
