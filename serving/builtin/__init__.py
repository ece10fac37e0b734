"""The built-in target model: its training data and recipe, its weights, and its chat format."""

from pathlib import Path

TARGET_FOLDER = Path(__file__).parent / "target"
"""Hugging Face layout; the form that CTranslate2 loads is in the folder `ctranslate2` inside it."""
