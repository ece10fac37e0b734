"""The service's HTTP API, on top of an Office: one file a resource. Knows FastAPI and the office, and neither Ray nor how jobs run.

    service.py        what all routes stand on: the office, the files, who asks
    passages.py       which request wants a key, counts as a question, holds a place
    headers.py        the headers of every answer
    health.py         which parts of the service do not work
    discretion.py     takes the service's places out of every answer
    files.py          /v1/files
    optimizations.py  /v1/optimizations: create, list, estimate, cancel, resume
    events.py         .../events, as a list and as a stream
    results.py        .../trials, .../candidates, .../comparison, .../tree
    takeaway.py       .../best, .../report, .../files
    desk.py           /v1/catalogue, /v1/me, /v1/audit
    page.py           the page's files at /
    document.py       /openapi.json
"""
