"""`promptray diagnose`: settings, models on Ray, ledger, results folder and page of a diagnosis."""
