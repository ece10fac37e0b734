"""The shell around optimizer.diagnostics: settings, models hosted on Ray, the ledger, and the
folder and page that are left.
"""
