"""Clients of models: over HTTP, by Serve handle, or in this process.

All are LanguageModels.
"""
