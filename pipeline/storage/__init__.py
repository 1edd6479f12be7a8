"""Where whole files lie: in a folder of this machine, or in an object store that many machines share.

Here is everything that knows the difference, and the one place that imports `obstore`, `boto3` and `google.auth`. A
file is named by its key, its path relative to the data root, such as `raw/folder-id`. What is in a file is the business
of the room that writes it.

Read `store` (what a store can do), `local` (a folder), `objects` (an object store), then `bucket` (its requests),
`connect`, `azure` and `google` (credentials), `ranged` (reading a part of an object), `versions` and
`google_versions` (what a bucket keeps of deleted objects), `faults` (what an object store can refuse, in sentences)
and `disk_use` (how many bytes are stored).
"""

from pipeline.storage.azure import AzureAccount
from pipeline.storage.google import GoogleAccount
from pipeline.storage.local import LocalStore
from pipeline.storage.root import open_shared_store, open_store
from pipeline.storage.store import Store, StoredFile, as_file, as_store
from pipeline.storage.versions import OldVersions

__all__ = [
    "AzureAccount",
    "GoogleAccount",
    "LocalStore",
    "OldVersions",
    "Store",
    "StoredFile",
    "as_file",
    "as_store",
    "open_shared_store",
    "open_store",
]
