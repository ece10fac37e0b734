"""The charts of the report and of the diagnosis page, one figure a module."""
