"""What one server does for its sessions, pure: request queues, session tracking, watches, replies."""
