from typing import Any

from ansible.template import Templar

class ActionBase:
    _task: Any
    _connection: Any
    _play_context: Any
    _loader: Any
    _templar: Templar
    def run(
        self, tmp: str | None = ..., task_vars: dict[str, Any] | None = ...
    ) -> dict[str, Any]: ...
    def validate_argument_spec(self, argument_spec: Any) -> tuple[Any, dict[str, Any]]: ...
    def _execute_module(
        self,
        module_name: str | None = ...,
        module_args: dict[str, Any] | None = ...,
        task_vars: dict[str, Any] | None = ...,
    ) -> dict[str, Any]: ...
