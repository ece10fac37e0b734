"""The commands of `promptray ledger` without their output: accounts, deletion, compaction."""
