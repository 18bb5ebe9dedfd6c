"""Main program of the dashboard."""

import service

service.dashboard()
