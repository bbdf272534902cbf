"""Every figure that pages, API and exports show."""
