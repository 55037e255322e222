//! This process and its children: signals, states, identities, and how a parent and a child speak.

pub(crate) mod child;
pub(crate) mod identity;
pub(crate) mod notice;
pub(crate) mod shutdown;
pub(crate) mod state;
