"""Two workers below one parent, as gunicorn is usually run."""

bind = "0.0.0.0:8000"
workers = 2
threads = 8
worker_class = "gthread"
worker_tmp_dir = "/tmp"
keepalive = 5
graceful_timeout = 5
