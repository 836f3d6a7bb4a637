// Keeps the support library from being empty on a tree whose helpers are all headers.
