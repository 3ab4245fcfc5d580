"""What an import stores: event log, ledger, quarantine, and what later drops need."""
