"""What a compiled template runs on: values as JavaScript has them, calls, paths, output."""
