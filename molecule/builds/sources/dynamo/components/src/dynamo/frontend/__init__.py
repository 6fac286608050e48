"""Stands in for one of Dynamo's packages."""
