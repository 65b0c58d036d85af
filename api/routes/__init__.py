"""One module per route family; thin: validate, query, shape."""
