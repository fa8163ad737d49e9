//! Messages made at random: those of TLS 1.3, and the hellos of both versions.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::messages::alpn::ProtocolNames;
use crate::messages::certificate::{Certificate, CertificateEntry};
use crate::messages::certificate_request::CertificateRequest;
use crate::messages::certificate_verify::CertificateVerify;
use crate::messages::client_extensions::{ClientExtensions, PskModes, TicketRequest};
use crate::messages::client_hello::{ClientHello, Compression};
use crate::messages::encrypted_extensions::EncryptedExtensions;
use crate::messages::extensions::PointFormats;
use crate::messages::finished::Finished;
use crate::messages::key_share::KeyShareEntry;
use crate::messages::key_update::KeyUpdate;
use crate::messages::new_session_ticket::NewSessionTicket;
use crate::messages::pre_shared_key::{MAX_IDENTITIES, OfferedPsks, PskIdentity};
use crate::messages::server_hello::{
    HELLO_RETRY_REQUEST_RANDOM, HelloRetryRequest, ServerExtensions, ServerHello, ServerHelloMessage,
};
use crate::messages::short_bytes::{SessionId, VerifyData};
use crate::registry::{KeyUpdateRequest, ProtocolVersion};

/// Any bytes, of a length in this range.
pub(super) fn bytes(len: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), len)
}

/// Code points, unknown ones among them.
pub(super) fn codes<T: From<u16> + core::fmt::Debug>(
    len: impl Into<proptest::collection::SizeRange>,
) -> impl Strategy<Value = Vec<T>> {
    vec(any::<u16>().prop_map(T::from), len)
}

fn session_id() -> impl Strategy<Value = SessionId> {
    bytes(0..=32).prop_map(|id| SessionId::new(&id).unwrap())
}

fn share() -> impl Strategy<Value = KeyShareEntry> {
    (any::<u16>(), bytes(1..40)).prop_map(|(group, key_exchange)| KeyShareEntry {
        group: group.into(),
        key_exchange,
    })
}

/// A group has one share at most.
fn shares() -> impl Strategy<Value = Vec<KeyShareEntry>> {
    vec(share(), 0..5).prop_map(|mut shares| {
        shares.sort_by_key(|share| share.group);
        shares.dedup_by_key(|share| share.group);
        shares
    })
}

fn protocol_names() -> impl Strategy<Value = ProtocolNames> {
    vec(bytes(1..12), 1..4).prop_map(|names| ProtocolNames::new(names).unwrap())
}

fn psks() -> impl Strategy<Value = OfferedPsks> {
    let one = (bytes(1..60), any::<u32>(), bytes(1..50));
    vec(one, 1..=MAX_IDENTITIES).prop_map(|psks| {
        OfferedPsks::new(psks.into_iter().map(|(identity, obfuscated_ticket_age, binder)| {
            let identity = PskIdentity {
                identity,
                obfuscated_ticket_age,
            };
            (identity, binder)
        }))
    })
}

fn psk_modes() -> impl Strategy<Value = PskModes> {
    any::<(bool, bool)>().prop_map(|(psk_ke, psk_dhe_ke)| PskModes { psk_ke, psk_dhe_ke })
}

fn ticket_request() -> impl Strategy<Value = TicketRequest> {
    any::<(u8, u8)>().prop_map(|(new_session_count, resumption_count)| TicketRequest {
        new_session_count,
        resumption_count,
    })
}

fn point_formats() -> impl Strategy<Value = PointFormats> {
    any::<bool>().prop_map(|uncompressed| PointFormats { uncompressed })
}

/// A list of signed certificate timestamps as on the wire.
fn timestamps() -> impl Strategy<Value = Vec<u8>> {
    vec(bytes(1..20), 1..4).prop_map(|list| {
        let entries: Vec<u8> = list
            .iter()
            .flat_map(|one| [&(one.len() as u16).to_be_bytes(), &one[..]].concat())
            .collect();
        [&(entries.len() as u16).to_be_bytes(), &entries[..]].concat()
    })
}

fn host_name() -> impl Strategy<Value = String> {
    // Not an IP address, which is passed over.
    vec(0x21u8..0x7f, 1..30).prop_map(|name| format!("x{}", String::from_utf8(name).unwrap()))
}

prop_compose! {
    /// In two halves, because tuples end at twelve.
    fn first_extensions()(
        server_name in of(host_name()),
        supported_groups in of(codes(1..6)),
        signature_algorithms in of(codes(1..6)),
        signature_algorithms_cert in of(codes(1..6)),
        alpn in of(protocol_names()),
        supported_versions in of(codes(1..6)),
        key_shares in of(shares()),
        psk_key_exchange_modes in of(psk_modes()),
        pre_shared_key in of(psks()),
        cookie in of(bytes(1..40)),
        certificate_authorities in of(vec(bytes(1..20), 1..4)),
        compress_certificate in of(vec(any::<u16>(), 1..4)),
    ) -> ClientExtensions {
        ClientExtensions {
            server_name, supported_groups, signature_algorithms, signature_algorithms_cert, alpn, supported_versions,
            key_shares, psk_key_exchange_modes, pre_shared_key, cookie, certificate_authorities, compress_certificate,
            ..ClientExtensions::default()
        }
    }
}

prop_compose! {
    fn client_extensions()(
        first in first_extensions(),
        [status_request, signed_certificate_timestamp, early_data, post_handshake_auth, extended_main_secret]
            in any::<[bool; 5]>(),
        record_size_limit in of(64u16..),
        ec_point_formats in of(point_formats()),
        session_ticket in of(bytes(0..40)),
        renegotiation_info in of(bytes(0..20)),
        ticket_request in of(ticket_request()),
        padding_len in of(0u16..600),
    ) -> ClientExtensions {
        ClientExtensions {
            status_request, signed_certificate_timestamp, early_data, post_handshake_auth, extended_main_secret,
            record_size_limit, ec_point_formats, session_ticket, renegotiation_info, ticket_request, padding_len,
            ..first
        }
    }
}

prop_compose! {
    pub(super) fn client_hello()(
        version in any::<u16>(),
        random in any::<[u8; 32]>(),
        session_id in session_id(),
        cipher_suites in codes(1..8),
        compression in prop_oneof![
            Just(Compression::OnlyNull), Just(Compression::NullAndOthers), Just(Compression::NoNull)
        ],
        extensions in client_extensions(),
    ) -> ClientHello {
        ClientHello {
            legacy_version: ProtocolVersion(version),
            random, session_id, cipher_suites, compression, extensions,
            raw: Vec::new(),
        }
    }
}

prop_compose! {
    fn server_extensions()(
        supported_version in of(any::<u16>().prop_map(ProtocolVersion)),
        key_share in of(share()),
        pre_shared_key in of(any::<u16>()),
        [server_name, status_request, extended_main_secret, session_ticket] in any::<[bool; 4]>(),
        renegotiation_info in of(bytes(0..20)),
        ec_point_formats in of(point_formats()),
        alpn in of(bytes(1..20)),
        signed_certificate_timestamp in of(timestamps()),
        record_size_limit in of(64u16..),
    ) -> ServerExtensions {
        ServerExtensions {
            supported_version, key_share, pre_shared_key, server_name, status_request, extended_main_secret,
            session_ticket, renegotiation_info, ec_point_formats, alpn, signed_certificate_timestamp,
            record_size_limit,
            extension_types: Vec::new(),
        }
    }
}

prop_compose! {
    fn hello()(
        version in any::<u16>(),
        random in any::<[u8; 32]>().prop_filter("a retry", |random| *random != HELLO_RETRY_REQUEST_RANDOM),
        session_id in session_id(),
        suite in any::<u16>(),
        extensions in server_extensions(),
    ) -> ServerHelloMessage {
        ServerHelloMessage::Hello(ServerHello {
            legacy_version: version.into(),
            random, session_id,
            cipher_suite: suite.into(),
            extensions,
        })
    }
}

prop_compose! {
    fn retry()(
        version in any::<u16>(),
        session_id in session_id(),
        suite in any::<u16>(),
        supported_version in of(any::<u16>()),
        group in of(any::<u16>()),
        cookie in of(bytes(1..40)),
    ) -> ServerHelloMessage {
        ServerHelloMessage::Retry(HelloRetryRequest {
            legacy_version: version.into(),
            session_id,
            cipher_suite: suite.into(),
            supported_version: supported_version.map(Into::into),
            selected_group: group.map(Into::into),
            cookie,
            extension_types: Vec::new(),
        })
    }
}

pub(super) fn server_hello() -> impl Strategy<Value = ServerHelloMessage> {
    prop_oneof![hello(), retry()]
}

prop_compose! {
    pub(super) fn encrypted_extensions()(
        [server_name, early_data] in any::<[bool; 2]>(),
        alpn in of(bytes(1..20)),
        record_size_limit in of(64u16..),
        ticket_request in of(any::<u8>()),
    ) -> EncryptedExtensions {
        EncryptedExtensions {
            server_name, alpn, early_data, record_size_limit, ticket_request,
            extension_types: Vec::new(),
        }
    }
}

prop_compose! {
    pub(super) fn certificate_request()(
        context in bytes(0..20),
        signature_algorithms in codes(0..6),
        signature_algorithms_cert in of(codes(1..6)),
        certificate_authorities in vec(bytes(1..20), 0..4),
        [status_request, signed_certificate_timestamp] in any::<[bool; 2]>(),
    ) -> CertificateRequest {
        CertificateRequest {
            context, signature_algorithms, signature_algorithms_cert, certificate_authorities, status_request,
            signed_certificate_timestamp,
            extension_types: Vec::new(),
        }
    }
}

prop_compose! {
    fn entry()(certificate in bytes(1..40), ocsp in of(bytes(1..20)), scts in of(timestamps())) -> CertificateEntry {
        CertificateEntry { certificate: certificate.into(), ocsp, scts, extension_types: Vec::new() }
    }
}

prop_compose! {
    pub(super) fn certificate()(context in bytes(0..20), entries in vec(entry(), 0..5)) -> Certificate {
        Certificate { context, entries }
    }
}

prop_compose! {
    pub(super) fn certificate_verify()(scheme in any::<u16>(), signature in bytes(0..100)) -> CertificateVerify {
        CertificateVerify { scheme: scheme.into(), signature }
    }
}

pub(super) fn finished() -> impl Strategy<Value = Finished> {
    bytes(1..=64).prop_map(|mac| Finished {
        verify_data: VerifyData::new(&mac).unwrap(),
    })
}

pub(super) fn key_update() -> impl Strategy<Value = KeyUpdate> {
    (0u8..2).prop_map(|request| KeyUpdate {
        request: KeyUpdateRequest(request),
    })
}

prop_compose! {
    pub(super) fn new_session_ticket()(
        lifetime in any::<u32>(),
        age_add in any::<u32>(),
        nonce in bytes(0..=255),
        ticket in bytes(1..100),
        max_early_data_size in of(any::<u32>()),
    ) -> NewSessionTicket {
        NewSessionTicket { lifetime, age_add, nonce, ticket, max_early_data_size, extension_types: Vec::new() }
    }
}
