"""What a person decides between nights: promotions and rollbacks."""
