"""What the service stores: jobs, files and the audit log; and how it reads strangers' data."""
