"""Calico's policy objects (projectcalico.org/v3, and crd.projectcalico.org/v1 as its controllers store them)."""
