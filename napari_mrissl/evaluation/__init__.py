"""What a pretrained network knows of a scan, measured beside what knows nothing."""
