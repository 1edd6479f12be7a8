"""The pipeline as Dagster sees it: the only folder that imports dagster.

Assets, checks, schedule and sensor are thin: each calls one step of `pipeline.flow` and says what it did. `definitions`
is the module that Dagster loads, `running` the door for the command line.
"""
