"""What GPUs a host has and how they are joined: read live or from a recorded file."""
