"""ctxscaffold: from CustomResourceDefinitions to a context-safe Go operator."""

__version__ = "0.1.0"
