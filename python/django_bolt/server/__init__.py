"""Serving: the native core beside uvicorn, which speaks HTTP, on one port."""
