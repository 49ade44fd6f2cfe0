"""What is put under load: servers started by us or found, their interpreters, the null server."""
