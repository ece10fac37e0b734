"""The science: prompts, tasks, graders, evaluation, selection, strategies and statistics.

Nothing in this folder imports ray, vllm, openai, fastapi or httpx, reads a clock or opens a network
connection.
"""
