"""Who asks, what they may do, and how much of it: keys, OIDC tokens, the browser's cookie, limits, headers."""
