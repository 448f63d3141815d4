"""Relaxation and molecular dynamics that go on from a checkpoint as if they had never stopped."""
