"""Analysis: who heard whom, whose answers were adopted, how far judges can be trusted; how sure."""
