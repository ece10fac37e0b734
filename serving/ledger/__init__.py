"""The durable record of finished model calls: a paid answer is never paid for again.

    schema.py        the stored values, and the key of a request
    format.py        the files: Arrow streams that are always written whole
    checksums.py     the checksum of every batch, and what is sound in a damaged file; damage.py:
                     how that is reported, and where its bytes go
    store.py         the ledger of one process: a folder of segments and its answers in memory
    writer_lock.py   one writer: an operating system's lock, or (lease.py) a lease on an object
                     store; ownership.py: the common part of both
    compaction.py    many segments into one; removal of entries
    single_flight.py the calls in flight, and their owners
    group_commit.py  several callers' records in one write
    coordinator.py   one ledger for many callers of an event loop
    cached_model.py  a model that looks into the ledger first
    actor.py         the shared ledger as an actor of the Ray cluster; the only module here that
                     knows Ray
    usage.py         how much was paid, and how much the ledger saved
    inspection.py    the content of a ledger, and its check; export.py: its entries as a table

Secrets never enter: a request is messages and sampling, an answer is text and counts, a model is
its public identity.
"""

from serving.ledger.format import ENDING, SEGMENT_BYTES
from serving.ledger.schema import SCHEMA_VERSION, Paid, key_of
from serving.ledger.store import Ledger

__all__ = ["ENDING", "SCHEMA_VERSION", "SEGMENT_BYTES", "Ledger", "Paid", "key_of"]
