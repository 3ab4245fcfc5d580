"""Count over all workers: rates of clients and addresses, and tokens that count once."""
