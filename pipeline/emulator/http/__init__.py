"""How a world is served: a real HTTP server on loopback that speaks Stream's Video API.

Here are authentication, quotas, request parameters, JSON documents, and faults that a test scripts. What happened, and
what of it is visible at a given time, stays out: that is `pipeline.emulator.world`, which imports nothing from here.

Read in the order in which a request meets them:

1. `emulator` and `server`: the object that a test starts, and the socket that it listens on.
2. `routes` and `app`: the paths, and the steps of one request.
3. `auth`, `quotas` and `faults`: whether the request may pass, and what goes wrong.
4. `request_log`, `parameters` and `paging`: what the request wants.
5. `lookup`, `list_documents`, `metrics_document` and `document_parts`: the JSON, in the form that `wire_format` sets.
6. `errors` and `fault_delivery`: refusals, broken responses and broken connections.
"""
