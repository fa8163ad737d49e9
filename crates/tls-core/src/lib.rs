//! TLS without IO.
#![forbid(unsafe_code)]

mod alert;
mod connection;
mod crypto;
mod error;
mod key_schedule;
mod record;
mod registry;
#[cfg(test)]
mod test_vectors;
mod transcript;
mod wire;

pub use alert::AlertDescription;
pub use connection::{Connection, Control, ReadEvent, Reader, Writer};
pub use crypto::sign::{KeyError, SigningKey};
pub use error::{
    BadBytes, CertificateError, Error, ErrorKind, HookError, Misbehaviour, Misuse, NothingInCommon, Phase,
    Problem, Side,
};
pub use registry::{
    CipherSuite, ContentType, ExtensionType, HandshakeType, KeyUpdateRequest, NamedGroup, ProtocolVersion,
    SignatureScheme,
};
