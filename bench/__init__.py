"""What pvload's own parts cost, beside the plain way of doing it; see README.md."""
