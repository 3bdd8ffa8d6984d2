"""The receiving end for API servers whose nodes nobody reaches: what their audit webhook posts, a collector ships."""
