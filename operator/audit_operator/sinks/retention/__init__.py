"""How stores are asked what they keep, and told what they may delete."""
