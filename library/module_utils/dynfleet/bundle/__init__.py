"""The bundle: one archive that a service is deployed from without a way out."""
