//! The fleet in containers.
