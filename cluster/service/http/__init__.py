"""The service's HTTP API, on top of an Backend: one file a resource.

Knows FastAPI and the backend, and neither Ray nor how jobs run.

deps.py        what all routes stand on: the backend, the files, who asks
access_policy.py       which request wants a key, counts as a question, holds a place
headers.py        the headers of every answer
health.py         which parts of the service do not work
path_redaction.py     takes the service's places out of every answer
files.py          /v1/files
optimizations.py  /v1/optimizations: create, list, estimate, cancel, resume
events.py         .../events, as a list and as a stream
results.py        .../trials, .../candidates, .../comparison, .../tree
downloads.py       .../best, .../report, .../files
account.py           /v1/catalogue, /v1/me, /v1/audit
static.py           the page's files at /
openapi.py       /openapi.json
"""
