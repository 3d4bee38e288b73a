"""Small products that dynamics and ops share, and the two layouts in which they are fast. No public name."""
