//! CO-RE programs, their loader and the raw records they emit.
