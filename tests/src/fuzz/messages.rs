//! Handshake messages of both versions, decoded: a byte for the version, then the message.

use std::collections::BTreeSet;

use tls_core::fuzzing::rewrite;
use tls_core::{ClientHello, HandshakeType, ProtocolVersion};

use super::Seeds;
use super::input::Input;
use super::replay::recordings;
use crate::transcript::decode::decode;

const HEADER: usize = 4;

pub(super) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let version = match input.u8() & 1 {
        0 => ProtocolVersion::TLS12,
        _ => ProtocolVersion::TLS13,
    };
    let message = input.rest();
    let [message_type, _, _, _, body @ ..] = message else {
        return;
    };
    let message_type = HandshakeType(*message_type);
    if let Some(Ok(written)) = rewrite(version, message_type, body) {
        // What we do not know is not written, and what can be said in several ways is said in one: but from there on it is
        // the same for ever.
        let again = rewrite(version, message_type, &written);
        match again {
            Some(Ok(again)) => assert_eq!(again, written, "{message_type}"),
            // Of lists of which we know nothing that is in them nothing is left.
            Some(Err(_)) if message_type == HandshakeType::CLIENT_HELLO => {}
            other => panic!("{message_type} does not read what it wrote: {other:?}"),
        }
    }
    if message_type == HandshakeType::CLIENT_HELLO {
        let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
        let whole = [&[message_type.0], &len[1..], body].concat();
        if let Ok(hello) = ClientHello::parse(&whole) {
            look_at(&hello, &whole);
        }
    }
}

/// Everything that can be asked of a ClientHello.
fn look_at(hello: &ClientHello, bytes: &[u8]) {
    assert_eq!(hello.raw(), bytes);
    assert_eq!(ClientHello::parse(hello.raw()).as_ref().ok(), Some(hello));
    let types: Vec<_> = hello.extensions().map(|(extension, _)| extension).collect();
    assert_eq!(types, hello.extension_types());
    for (extension, content) in hello.extensions() {
        assert_eq!(hello.extension(extension), Some(content));
    }
    let distinct: BTreeSet<u16> = types.iter().map(|extension| extension.0).collect();
    assert_eq!(distinct.len(), types.len(), "an extension twice");
    let parts = [
        hello.session_id().len(),
        hello.compression_methods().len(),
        hello.key_shares().map(|(_, share)| share.len()).sum(),
        hello.psk_key_exchange_modes().count(),
        hello.psk_identities().map(<[u8]>::len).sum(),
        hello.ec_point_formats().len(),
        hello.certificate_compression_algorithms().len() * 2,
        hello.alpn().map(<[u8]>::len).sum(),
        hello.certificate_authorities().map(<[u8]>::len).sum(),
        hello.server_name().map_or(0, str::len),
        hello.signature_algorithms_cert().len(),
    ];
    assert!(parts.iter().all(|part| *part <= bytes.len()), "{parts:?}");
    let _ = (hello.record_size_limit(), hello.offers_early_data());
    let ja4 = hello.ja4();
    assert_eq!(
        ja4.split('_').map(str::len).collect::<Vec<_>>(),
        [10, 12, 12],
        "{ja4}"
    );
    assert!(hello.ja4_r().starts_with(&ja4[..10]) && hello.ja4_ro().len() >= ja4[..10].len());
    assert_eq!(hello.ja4_o().len(), ja4.len());
}

/// Every message of the recordings, once.
pub(super) fn seeds() -> Seeds {
    let mut seen = BTreeSet::new();
    let mut seeds = Seeds::new();
    for (case, recording) in recordings() {
        for events in &recording.connections {
            for message in decode(events, &recording.secrets)
                .iter()
                .flat_map(|r| &r.messages)
            {
                let is_tls13 = !case.name.contains("-tls12-");
                // Those of one type differ in little but numbers: one of each length and version.
                let first = *message.bytes.first().expect("a message has a header");
                if message.bytes.len() >= HEADER && seen.insert((is_tls13, first, message.bytes.len())) {
                    let name = format!("{}-{first}-{}", case.name, message.bytes.len());
                    seeds.push((name, [&[u8::from(is_tls13)], &message.bytes[..]].concat()));
                }
            }
        }
    }
    seeds
}
