"""What our modules use of Ansible, which ships no types."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

class AnsibleModule:
    params: dict[str, Any]
    check_mode: bool
    no_log_values: set[str]
    def __init__(
        self,
        argument_spec: Mapping[str, Any],
        supports_check_mode: bool = ...,
        mutually_exclusive: Sequence[Sequence[str]] = ...,
        required_one_of: Sequence[Sequence[str]] = ...,
        required_if: Sequence[Sequence[Any]] = ...,
        required_by: Mapping[str, Any] = ...,
        required_together: Sequence[Sequence[str]] = ...,
    ) -> None: ...
    def exit_json(self, **result: Any) -> NoReturn: ...
    def fail_json(self, msg: str, **result: Any) -> NoReturn: ...
    def warn(self, warning: str) -> None: ...
    def run_command(self, args: Sequence[str], **options: Any) -> tuple[int, str, str]: ...
