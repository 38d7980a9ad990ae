"""How it is deployed: files for containers, and Celery workers."""
