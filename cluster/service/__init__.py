"""The optimizer service: an HTTP API for jobs, and a live page, over experiments.

A job is an experiment with its results folder and its ledger; there is no second way of running
one.

core/         the protocol JobBackend, job records, settings and errors
schemas/      what goes over the wire
access/       API keys, admission of requests, quotas and budgets
stores/       jobs, files and the audit log on storage
jobs/         the controller of jobs, and the processes that run them
backends/     the implementations of JobBackend
read_models/  what the API and the page show of a results folder
http/         the routes
client/       the typed client
web/          the page
"""
