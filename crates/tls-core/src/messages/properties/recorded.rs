//! The messages of `testdata/transcripts`, which OpenSSL, GnuTLS and we ourselves have written.

use std::collections::BTreeMap;
use std::path::Path;

use tls_transcript::{Recording, decode::decode};

use super::laws::{Law, check_bytes, check_change, check_longer, check_prefix};
use crate::messages::server_hello::ServerHelloMessage;
use crate::messages::{
    HEADER_LEN, certificate, certificate_request, certificate_verify, client_hello, decode_message,
    encrypted_extensions, end_of_early_data, finished, key_update, new_session_ticket, tls12,
};
use crate::registry::{HandshakeType, ProtocolVersion};

/// A message of each form, told apart by version, type, and the names of all its fields; the shortest one of each.
type Forms = BTreeMap<(u16, u8, String), Vec<u8>>;

/// Every handshake message of every recording, by its form.
fn forms() -> Forms {
    let mut forms = Forms::new();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/transcripts");
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let recording = Recording::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
        for events in &recording.connections {
            let records = decode(events, &recording.secrets);
            let messages: Vec<_> = records.iter().flat_map(|record| &record.messages).collect();
            let version = messages.iter().find_map(|message| {
                let body = message.bytes.get(HEADER_LEN..)?;
                let is_server_hello = message.bytes[0] == HandshakeType::SERVER_HELLO.0;
                match is_server_hello.then(|| decode_message(body).unwrap())? {
                    ServerHelloMessage::Hello(hello) => Some(hello.version()),
                    ServerHelloMessage::Retry(_) => Some(ProtocolVersion::TLS13),
                }
            });
            for message in messages {
                let names = message
                    .fields
                    .iter()
                    .map(|field| format!("{} ", field.name))
                    .collect();
                let form = (version.map_or(0, |version| version.0), message.bytes[0], names);
                let shortest = forms.entry(form).or_insert_with(|| message.bytes.clone());
                if shortest.len() > message.bytes.len() {
                    shortest.clone_from(&message.bytes);
                }
            }
        }
    }
    forms
}

/// What is done with the body of a message, whatever its type is.
trait Check {
    fn check<M: Law>(&mut self, body: &[u8]);
}

fn check(version: u16, message: &[u8], check: &mut impl Check) {
    use HandshakeType as T;
    let body = &message[HEADER_LEN..];
    let is_tls13 = version == ProtocolVersion::TLS13.0;
    match HandshakeType(message[0]) {
        T::CLIENT_HELLO => check.check::<client_hello::ClientHello>(body),
        T::SERVER_HELLO => check.check::<ServerHelloMessage>(body),
        T::ENCRYPTED_EXTENSIONS => check.check::<encrypted_extensions::EncryptedExtensions>(body),
        T::CERTIFICATE if is_tls13 => check.check::<certificate::Certificate>(body),
        T::CERTIFICATE => check.check::<tls12::certificate::Certificate>(body),
        T::CERTIFICATE_REQUEST if is_tls13 => check.check::<certificate_request::CertificateRequest>(body),
        T::CERTIFICATE_REQUEST => check.check::<tls12::certificate_request::CertificateRequest>(body),
        T::CERTIFICATE_VERIFY => check.check::<certificate_verify::CertificateVerify>(body),
        T::FINISHED => check.check::<finished::Finished>(body),
        T::END_OF_EARLY_DATA => check.check::<end_of_early_data::EndOfEarlyData>(body),
        T::KEY_UPDATE => check.check::<key_update::KeyUpdate>(body),
        T::NEW_SESSION_TICKET if is_tls13 => check.check::<new_session_ticket::NewSessionTicket>(body),
        T::NEW_SESSION_TICKET => check.check::<tls12::new_session_ticket::NewSessionTicket>(body),
        T::SERVER_KEY_EXCHANGE => check.check::<tls12::server_key_exchange::ServerKeyExchange>(body),
        T::CLIENT_KEY_EXCHANGE => check.check::<tls12::client_key_exchange::ClientKeyExchange>(body),
        T::SERVER_HELLO_DONE => check.check::<tls12::server_hello_done::ServerHelloDone>(body),
        T::HELLO_REQUEST => check.check::<tls12::hello_request::HelloRequest>(body),
        other => panic!("nobody checks {other}"),
    }
}

#[test]
fn every_prefix_of_what_was_recorded_is_refused() {
    struct Prefixes(usize);
    impl Check for Prefixes {
        fn check<M: Law>(&mut self, body: &[u8]) {
            assert!(check_bytes::<M>(body), "{} is not read: {body:02x?}", M::TYPE);
            check_longer::<M>(body);
            for len in 0..=body.len() {
                check_prefix::<M>(body, len);
            }
            self.0 += 1;
        }
    }
    let mut done = Prefixes(0);
    for ((version, _, _), message) in &forms() {
        check(*version, message, &mut done);
    }
    assert!(done.0 > 60, "{} forms are few", done.0);
}

#[test]
fn every_other_byte_in_what_was_recorded_makes_an_error_or_another_message() {
    #[derive(Default)]
    struct Changes {
        errors: usize,
        messages: usize,
    }
    impl Check for Changes {
        fn check<M: Law>(&mut self, body: &[u8]) {
            let mut body = body.to_vec();
            // Every value in the short ones; in the others every bit is turned, and the least and the greatest values are
            // tried: most of their bytes are random or in certificates.
            let all = body.len() < 100;
            for place in 0..body.len() {
                let old = body[place];
                for change in 1..=255u8 {
                    let new = old ^ change;
                    if all || change.is_power_of_two() || matches!(new, 0 | 1 | 254 | 255) {
                        match check_change::<M>(&mut body, place, change) {
                            true => self.messages += 1,
                            false => self.errors += 1,
                        }
                    }
                }
            }
        }
    }
    let mut done = Changes::default();
    for ((version, _, _), message) in &forms() {
        check(*version, message, &mut done);
    }
    let (errors, messages) = (done.errors, done.messages);
    assert!(
        errors > 50_000 && messages > 50_000,
        "{errors} errors, {messages} messages"
    );
}
