"""One client at a time: nobody else is served until the one being served hangs up."""

from concurrency_models.server import Server


def serve(server: Server) -> None:
    """Serve clients one after another until the server stops."""
    server.serve_clients(server.talk)
