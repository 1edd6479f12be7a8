-- Grain: one row per published table or view, by name. Works on a file and on a DuckLake.
--
-- kind: table or view
-- comment: What one row is
-- rows: Number of rows of a table whose days are counted; NULL for others
-- columns: Its columns in order: name, type and comment
WITH published AS (
    SELECT table_name, 'table' AS kind, "comment"
    FROM duckdb_tables()
    WHERE database_name = current_database() AND schema_name = current_schema() AND NOT internal
    UNION ALL
    SELECT view_name, 'view', "comment"
    FROM duckdb_views()
    WHERE database_name = current_database() AND schema_name = current_schema() AND NOT internal
),

described AS (
    SELECT
        columns.table_name,
        list(
            {'name': columns.column_name, 'type': columns.data_type, 'comment': comments."comment"}
            ORDER BY columns.column_index
        ) AS columns
    FROM duckdb_columns() AS columns
    LEFT JOIN column_comments AS comments USING (table_name, column_name)
    WHERE columns.database_name = current_database() AND columns.schema_name = current_schema() AND NOT columns.internal
    GROUP BY columns.table_name
),

counted AS (
    SELECT table_name, sum(row_count)::BIGINT AS rows
    FROM store.loaded
    GROUP BY table_name
)

SELECT published.table_name AS name, published.kind, published."comment", counted.rows, described.columns
FROM published
INNER JOIN described USING (table_name)
LEFT JOIN counted USING (table_name)
ORDER BY name
