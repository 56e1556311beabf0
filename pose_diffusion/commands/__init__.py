"""One thin file per console command."""
