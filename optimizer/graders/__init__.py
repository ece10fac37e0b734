"""Graders: what was the final answer of a response, and is it accepted?"""
