"""Requests to Stream's API: everything that is due is fetched, within the quota, and handed to `landing`.

Here is everything about HTTP: authentication, addresses, retries, quotas, pages, many requests in flight, and how they
end when someone stops the process. This is the only room that imports httpx and httpcore. Which requests are due is
decided in `planning`; what a response means is in `planning` and `tables`.

Read `steps` first (what a run does, one method per endpoint), then `crawl` (many requests), `client` (one request),
`connection` (how it is sent), `addresses` and `outcomes` (its two ends), `quota`, `clock` and `network`, and `session`
with `event_loop` (lifetime).
"""
