"""Publishing: what goes to the Hub, its checks, its cards, and how it is pushed."""
