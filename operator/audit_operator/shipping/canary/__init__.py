"""What a configuration must do with lines that are known, before it is given any that are not."""
