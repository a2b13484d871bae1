"""What operators ask a server: four-letter words on the client port. Source: docs/protocol/operations.md."""
