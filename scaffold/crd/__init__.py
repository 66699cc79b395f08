"""The reader of CustomResourceDefinitions and the model of what they define."""
