"""Scripts that make parts of the documentation. Not part of the package."""
