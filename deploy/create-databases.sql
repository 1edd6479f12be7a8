-- Dagster's records are in a database of their own. The lake's catalog is in the one that the server starts with.
CREATE DATABASE dagster;
