"""Pure code of the project: no Ansible import, Python 3.9 syntax, runs on controller and hosts."""
