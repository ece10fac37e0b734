"""How a model is reached: over HTTP, by Serve handle, or in this process.

All are LanguageModels.
"""
