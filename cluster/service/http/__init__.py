"""The service's HTTP API over a JobBackend; one file for each group of routes.

Knows FastAPI and the backend, and neither Ray nor how jobs run.

app.py             the application of all routes
deps.py            what all routes use: the parts of a replica, the principal, errors
access_policy.py   which requests need a key, are rate limited, and take a slot
headers.py         the headers of every answer
health.py          which parts of the service do not work
path_redaction.py  removes the storage's paths from every answer
files.py           /v1/files
optimizations.py   /v1/optimizations: create, list, estimate, cancel, resume
evaluations.py     /v1/evaluations, and /v1/jobs of any kind
events.py          .../events, as a list and as a stream
job_results.py     reads a job's results for the routes below
results.py         .../trials, .../candidates, .../comparison, .../tree
downloads.py       .../best, .../report, .../files
account.py         /v1/catalogue, /v1/me, /v1/audit
static.py          the page's files at /
openapi.py         /openapi.json
"""
