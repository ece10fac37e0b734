"""The built-in target model: its lessons, the recipe that trained it, its weights, and the table of
what it can do.
"""

from pathlib import Path

TARGET_FOLDER = Path(__file__).parent / "target"
"""Hugging Face layout; the form that CTranslate2 loads is in the folder `ctranslate2` inside it."""
