"""The report: what a run's directory holds, told on one page that opens offline."""
