"""What a user can set: environment variables and a `.env` file, read once into one frozen object.

The environment wins over `.env`. An unusable value, or a CALL_METRICS_* name that does not exist, is refused in one
sentence. What the settings are used for belongs to the modules that take them.

Read `settings` (everything that can be set), then `values` (what a value can be), `data_root` (where the data are),
`secret_files`, and `refusals` (names, lines and paths that are refused).
"""

from pipeline.settings.secret_files import SECRETS
from pipeline.settings.settings import Settings
from pipeline.settings.values import MIN_TOKEN, ClientIp, Credentials, Secret, parse_date

__all__ = ["MIN_TOKEN", "SECRETS", "ClientIp", "Credentials", "Secret", "Settings", "parse_date"]
