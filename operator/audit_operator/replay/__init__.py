"""What a policy would have recorded of a log that there is: events are counted, and policies asked about the counts."""
