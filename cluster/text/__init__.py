"""Text for people: formatted figures, word diffs and signs for invisible characters."""
