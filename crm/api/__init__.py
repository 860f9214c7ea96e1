"""crm's door for programs: the customers' app, and staff tools."""
