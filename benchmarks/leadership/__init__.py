"""What becomes of a leader that loses its lease, beside controller-runtime's."""
