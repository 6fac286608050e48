from typing import Any

ANSIBLE_HOME: str
CONFIG_FILE: str | None
DEFAULT_LOCAL_TMP: str
config: Any
