"""The relay: what stands on the address where the handler finds the Runtime API, and passes all on."""
