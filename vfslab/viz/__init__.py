"""Pictures: graphs of live objects and of bytes, as DOT, SVG and sorted text. It only renders."""
