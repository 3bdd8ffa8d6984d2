"""Who may read what was recorded, who may change what is recorded, and who may switch it off. Pure."""
