"""A net in the browser: an API that batches across clients, and the page, which also works without it."""
