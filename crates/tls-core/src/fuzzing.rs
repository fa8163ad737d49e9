use crate::error::Error;
use crate::messages::certificate::Certificate;
use crate::messages::certificate_request::CertificateRequest;
use crate::messages::certificate_verify::CertificateVerify;
use crate::messages::client_hello::ClientHello;
use crate::messages::encrypted_extensions::EncryptedExtensions;
use crate::messages::end_of_early_data::EndOfEarlyData;
use crate::messages::finished::Finished;
use crate::messages::key_update::KeyUpdate;
use crate::messages::new_session_ticket::NewSessionTicket;
use crate::messages::server_hello::ServerHelloMessage;
use crate::messages::{HEADER_LEN, Message, decode_message, encode_message, tls12};
use crate::registry::{HandshakeType, ProtocolVersion};
use crate::session::ServerSession;

pub use crate::crypto::tape::seeded;
pub use crate::tamper::tampered;

/// Reads the body of a handshake message of this version and writes it again; `None` if it has no such message.
///
/// # Errors
/// It is malformed.
pub fn rewrite(
    version: ProtocolVersion,
    message: HandshakeType,
    body: &[u8],
) -> Option<Result<Vec<u8>, Error>> {
    use HandshakeType as T;
    let is_tls13 = version == ProtocolVersion::TLS13;
    let rewrite = match message {
        T::CLIENT_HELLO => again::<ClientHello>,
        T::SERVER_HELLO => again::<ServerHelloMessage>,
        T::CERTIFICATE_VERIFY => again::<CertificateVerify>,
        T::FINISHED => again::<Finished>,
        T::CERTIFICATE if is_tls13 => again::<Certificate>,
        T::CERTIFICATE_REQUEST if is_tls13 => again::<CertificateRequest>,
        T::NEW_SESSION_TICKET if is_tls13 => again::<NewSessionTicket>,
        T::ENCRYPTED_EXTENSIONS if is_tls13 => again::<EncryptedExtensions>,
        T::END_OF_EARLY_DATA if is_tls13 => again::<EndOfEarlyData>,
        T::KEY_UPDATE if is_tls13 => again::<KeyUpdate>,
        T::CERTIFICATE => again::<tls12::certificate::Certificate>,
        T::CERTIFICATE_REQUEST => again::<tls12::certificate_request::CertificateRequest>,
        T::NEW_SESSION_TICKET => again::<tls12::new_session_ticket::NewSessionTicket>,
        T::CERTIFICATE_STATUS => again::<tls12::certificate_status::CertificateStatus>,
        T::CLIENT_KEY_EXCHANGE => again::<tls12::client_key_exchange::ClientKeyExchange>,
        T::SERVER_KEY_EXCHANGE => again::<tls12::server_key_exchange::ServerKeyExchange>,
        T::SERVER_HELLO_DONE => again::<tls12::server_hello_done::ServerHelloDone>,
        T::HELLO_REQUEST => again::<tls12::hello_request::HelloRequest>,
        _ => return None,
    };
    Some(rewrite(body))
}

fn again<M: Message>(body: &[u8]) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    encode_message(&decode_message::<M>(body)?, &mut bytes);
    Ok(bytes.split_off(HEADER_LEN.min(bytes.len())))
}

/// Reads what a server remembers from the bytes in a ticket, or from those in a store, and writes it again.
///
/// # Errors
/// It is malformed, or not whole.
pub fn rewrite_server_session(bytes: &[u8], is_stored: bool) -> Result<Vec<u8>, Error> {
    Ok(match is_stored {
        true => ServerSession::from_stored_bytes(bytes)?.to_stored_bytes(),
        false => ServerSession::from_bytes(bytes)?.to_bytes(),
    }
    .to_vec())
}
