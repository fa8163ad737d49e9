//! The handshake messages that only TLS 1.2 has, and those that it has in another form (RFC 5246 7.4).
//!
//! CertificateVerify and Finished have the form of TLS 1.3; the two hellos are read by one codec for both versions.

pub(crate) mod certificate;
pub(crate) mod certificate_request;
pub(crate) mod certificate_status;
pub(crate) mod client_key_exchange;
pub(crate) mod hello_request;
pub(crate) mod new_session_ticket;
pub(crate) mod server_hello_done;
pub(crate) mod server_key_exchange;
