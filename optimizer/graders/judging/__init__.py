"""Parts of graders that call a model: templates, replies, agreement; and formulas of scores."""
