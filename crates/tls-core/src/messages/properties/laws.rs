//! The laws.

use core::fmt::Debug;

use crate::messages::{HEADER_LEN, Message, decode_message, encode_message};
use crate::registry::ExtensionType;
use crate::wire::Problem;

/// A message that can be compared with what it becomes when it is written and read.
pub(super) trait Law: Message + Clone + PartialEq + Debug {
    /// The lists of extensions that were read, which nothing is written from.
    fn types(&mut self) -> Vec<&mut Vec<ExtensionType>> {
        Vec::new()
    }

    /// Lengths at which its body may end although more could follow.
    fn is_whole(_body: &[u8], _len: usize) -> bool {
        false
    }

    /// Bytes that may follow its body.
    fn may_go_on(_body: &[u8]) -> bool {
        false
    }

    /// Without what nothing is written from.
    fn plain(mut self) -> Self {
        self.types().into_iter().for_each(Vec::clear);
        self
    }
}

fn body_of<M: Message>(message: &M) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_message(message, &mut bytes);
    let len = u32::try_from(bytes.len() - HEADER_LEN).unwrap().to_be_bytes();
    assert_eq!(bytes[..HEADER_LEN], [M::TYPE.0, len[1], len[2], len[3]]);
    bytes.split_off(HEADER_LEN)
}

/// A message made by us is read as it was written, and so is every message that differs from it in a place.
#[track_caller]
pub(super) fn check_value<M: Law>(message: &M, place: usize, change: u8) {
    let mut body = body_of(message);
    let read = decode_message::<M>(&body).unwrap();
    assert_eq!(read.clone().plain(), message.clone().plain());
    assert_eq!(body_of(&read), body, "what was read is written otherwise");
    check_prefix::<M>(&body, place % (body.len() + 1));
    check_longer::<M>(&body);
    check_change::<M>(&mut body, place, change);
}

/// The first `len` bytes are an error, unless they are another valid message.
#[track_caller]
pub(super) fn check_prefix<M: Law>(body: &[u8], len: usize) {
    let read = decode_message::<M>(&body[..len]);
    let is_whole = len == body.len() || M::is_whole(body, len);
    assert_eq!(
        read.is_ok(),
        is_whole,
        "the first {len} bytes of {body:02x?} give {read:?}"
    );
    if is_whole {
        check_bytes::<M>(&body[..len]);
    }
}

/// A byte more is an error.
#[track_caller]
pub(super) fn check_longer<M: Law>(body: &[u8]) {
    let longer = [body, &[0]].concat();
    let read = decode_message::<M>(&longer);
    if M::may_go_on(body) {
        assert!(read.is_ok());
    } else {
        let problem = read.unwrap_err().problem;
        assert!(matches!(
            problem,
            Problem::TrailingBytes | Problem::LengthOutOfBounds
        ));
    }
}

/// With another byte in a place it is an error or another message. Says whether it was one.
#[track_caller]
pub(super) fn check_change<M: Law>(body: &mut [u8], place: usize, change: u8) -> bool {
    if body.is_empty() {
        return true;
    }
    let place = place % body.len();
    body[place] ^= change;
    let is_one = check_bytes::<M>(body);
    body[place] ^= change;
    is_one
}

/// The bytes are an error, or a message that is read as it is written. Says whether they are one.
#[track_caller]
pub(super) fn check_bytes<M: Law>(body: &[u8]) -> bool {
    let Ok(message) = decode_message::<M>(body) else {
        return false;
    };
    let written = body_of(&message);
    match decode_message::<M>(&written) {
        Ok(again) => {
            assert_eq!(again.clone().plain(), message.plain(), "from {body:02x?}");
            assert_eq!(body_of(&again), written, "from {body:02x?}");
        }
        Err(bad) => panic!("{bad}: {message:?} was read, but what is written of it cannot be"),
    }
    true
}

macro_rules! law {
    ($($message:ty;)*) => { $(impl Law for $message {})* };
}

mod of_messages {
    use super::*;
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
    use crate::messages::tls12;

    law! {
        CertificateVerify; EndOfEarlyData; KeyUpdate;
        tls12::certificate::Certificate; tls12::certificate_request::CertificateRequest;
        tls12::certificate_status::CertificateStatus; tls12::client_key_exchange::ClientKeyExchange;
        tls12::hello_request::HelloRequest; tls12::new_session_ticket::NewSessionTicket;
        tls12::server_hello_done::ServerHelloDone; tls12::server_key_exchange::ServerKeyExchange;
    }

    impl Law for ClientHello {
        fn types(&mut self) -> Vec<&mut Vec<ExtensionType>> {
            vec![&mut self.extensions.extension_types]
        }

        /// A client of TLS 1.2 may send no extensions at all.
        fn is_whole(body: &[u8], len: usize) -> bool {
            let suites_at = 35 + usize::from(body[34]);
            let methods_at =
                suites_at + 2 + usize::from(u16::from_be_bytes([body[suites_at], body[suites_at + 1]]));
            len == methods_at + 1 + usize::from(body[methods_at])
        }

        fn plain(mut self) -> Self {
            self.types().into_iter().for_each(Vec::clear);
            if let Some(psks) = &mut self.extensions.pre_shared_key {
                // Those that are not kept leave their length behind, which is not written.
                psks.forget_what_was_not_kept();
            }
            self
        }
    }

    impl Law for ServerHelloMessage {
        fn types(&mut self) -> Vec<&mut Vec<ExtensionType>> {
            match self {
                Self::Hello(hello) => vec![&mut hello.extensions.extension_types],
                Self::Retry(retry) => vec![&mut retry.extension_types],
            }
        }

        /// A server of TLS 1.2 may send no extensions at all.
        fn is_whole(body: &[u8], len: usize) -> bool {
            len == 38 + usize::from(body[34])
        }
    }

    impl Law for EncryptedExtensions {
        fn types(&mut self) -> Vec<&mut Vec<ExtensionType>> {
            vec![&mut self.extension_types]
        }
    }

    impl Law for CertificateRequest {
        fn types(&mut self) -> Vec<&mut Vec<ExtensionType>> {
            vec![&mut self.extension_types]
        }
    }

    impl Law for Certificate {
        fn types(&mut self) -> Vec<&mut Vec<ExtensionType>> {
            self.entries
                .iter_mut()
                .map(|entry| &mut entry.extension_types)
                .collect()
        }
    }

    impl Law for NewSessionTicket {
        fn types(&mut self) -> Vec<&mut Vec<ExtensionType>> {
            vec![&mut self.extension_types]
        }
    }

    impl Law for Finished {
        /// It does not say how long it is: the handshake knows.
        fn is_whole(_body: &[u8], len: usize) -> bool {
            len > 0
        }

        fn may_go_on(body: &[u8]) -> bool {
            body.len() < 64
        }
    }
}
