"""GPUDirect Storage: what a host has for it, and which path data would take."""
