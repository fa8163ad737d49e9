//! The only room that names aws-lc-rs.

pub(crate) mod aead;
