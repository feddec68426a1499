"""Post work: what runs after an answer, and what the handler may ask for it."""
