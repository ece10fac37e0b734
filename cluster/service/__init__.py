"""The optimizer service: a jobs API and a live page over experiments.

It adds no second way of running anything: a job is an experiment with its results folder and its
ledger.

    objects.py   what goes over the wire
    cluster/service/core/backend.py    what the API asks of whoever keeps and runs the jobs
"""
