"""What has happened, drawn: as a timeline in a terminal, as a picture, as JSON lines."""
