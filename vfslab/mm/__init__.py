"""Memory: the page cache, read-ahead, and reclaim under a limit."""
