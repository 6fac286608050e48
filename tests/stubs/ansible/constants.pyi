from typing import Any

CONFIG_FILE: str | None
config: Any
