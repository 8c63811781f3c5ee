"""The inspection desk: pages, templates, static files. Its room; the desk itself comes with its own issue."""
