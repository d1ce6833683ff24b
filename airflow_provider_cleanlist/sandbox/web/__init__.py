"""What every request and response goes through: middleware, error bodies, response types, paging."""
