"""Training of the built-in target model: its lessons, the recipe, the export and the evaluation."""
