"""What lives on the server behind the page: visitors, their jobs and their results."""
