"""Worker processes together, and one measurement: start the server, put the load on, watch."""
