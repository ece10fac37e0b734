"""What all parts of the service share: the backend protocol, job records, settings and errors."""
