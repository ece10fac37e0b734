"""`promptray evaluate`: prompts of any origin on whole data sets."""
