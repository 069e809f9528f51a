"""The first page: what the app does, shown with runs that ship."""
