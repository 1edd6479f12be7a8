"""The published database for assistants and editors: a server of the Model Context Protocol (MCP), by its official SDK.

Assistants list tables, run one SELECT at a time, read about a call, and ask what is missing of a day. Everything is
read-only. What the answers mean is in `quality` and `planning`; the command is in `cli`.

Read `server` (the tools, and what an assistant is told), then what the tools do: `tables`, `ask` with `guard` (SQL),
`calls`, `days`. `results` has the values they return. `workers` runs them in processes of their own, with limits of
time and memory. `stdio` and `http` are the two ways in.
"""
