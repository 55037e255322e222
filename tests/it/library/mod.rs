//! The library as its users have it: fleets of their own, and workers that they embed.

mod embedded;
mod fleets;
