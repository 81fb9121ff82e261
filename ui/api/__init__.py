"""What programs and agents call: endpoints, their schema, MCP tools; and the limits that the page shares."""
