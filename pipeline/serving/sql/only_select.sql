-- Defines what the remote server does with a query from a client: it returns the statement to run instead, or NULL to
-- refuse.
--
-- A text that DuckDB's own parser accepts as one SELECT runs unchanged. SHOW, DESCRIBE and SUMMARIZE are SELECTs too.
-- It may use only our own macros and table functions that count, unnest, or describe the catalog. For an INSERT the
-- result is NULL, because a client asks about an INSERT before it sends rows. Any other text becomes a statement that
-- fails with one sentence.
CREATE OR REPLACE MACRO only_select(session_id, query) AS (
    SELECT
        CASE
            WHEN regexp_matches(query::VARCHAR, '^\s*INSERT\b', 'i') THEN NULL
            WHEN parsed ->> '$.error_type' = 'parser'
                THEN 'SELECT error(''' || replace(parsed ->> '$.error_message', '''', '''''') || ''')'
            WHEN parsed ->> '$.error' IS DISTINCT FROM 'false' OR json_array_length(parsed, '$.statements') <> 1
                THEN 'SELECT error(''this server runs one SELECT at a time and nothing else'')'
            WHEN NOT list_has_all(
                [
                    'range', 'generate_series', 'unnest', 'json_each', 'json_tree', 'summary',
                    'duckdb_tables', 'duckdb_views', 'duckdb_columns', 'duckdb_schemas', 'duckdb_databases',
                    'duckdb_types', 'duckdb_functions', 'duckdb_constraints', 'pragma_table_info', 'pragma_version',
                    'explain_change', 'compare_releases'
                ],
                coalesce(parsed ->> '$..function.function_name', [])
            )
                THEN 'SELECT error(''this server runs no table function that reads outside the published tables'')'
            ELSE query::VARCHAR
        END
    FROM (SELECT json_serialize_sql(query::VARCHAR) AS parsed)
);
