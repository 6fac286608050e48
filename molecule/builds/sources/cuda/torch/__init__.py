"""Stands in for torch, of which the build here only asks for the version."""

from types import SimpleNamespace

__version__ = "2.11.0+cu130"
version = SimpleNamespace(cuda="13.0")
