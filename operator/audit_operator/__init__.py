"""audit-operator: Kubernetes audit policies as objects, composed, delivered and proved."""

__version__ = "0.1.0"
