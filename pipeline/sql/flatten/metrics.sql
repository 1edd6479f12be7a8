-- Grain: one row per answer of Participant Metrics, in the order of `answers(n, body)`, its source.
-- `data_points` are pairs of timestamp and value; an element that is no such pair is NULL here.
SELECT
    n,
    try(from_json(
        body,
        '{
            "is_publisher": "BOOLEAN", "is_subscriber": "BOOLEAN",
            "client": {
                "name": "VARCHAR", "version": "VARCHAR", "ip": "VARCHAR", "network_type": "VARCHAR",
                "location": {
                    "city": "VARCHAR", "subdivision": "VARCHAR", "country": "VARCHAR", "country_iso_code": "VARCHAR",
                    "continent": "VARCHAR", "latitude": "DOUBLE", "longitude": "DOUBLE",
                    "accuracy_radius_meters": "BIGINT"
                }
            },
            "published_tracks": [{
                "track_id": "VARCHAR", "track_type": "VARCHAR", "codec": "VARCHAR",
                "bitrate": {"data_points": "DOUBLE[2][]"},
                "framerate": {"data_points": "DOUBLE[2][]"},
                "resolution": {
                    "width": {"data_points": "DOUBLE[2][]"},
                    "height": {"data_points": "DOUBLE[2][]"}
                },
                "warnings": [{"time": "VARCHAR", "code": "VARCHAR", "warning": "VARCHAR"}]
            }]
        }'
    )) AS answer
FROM answers
