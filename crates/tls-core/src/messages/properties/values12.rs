//! Messages made at random: those that only TLS 1.2 has.

use proptest::collection::vec;
use proptest::prelude::*;

use super::values::{bytes, codes};
use crate::messages::tls12::certificate::Certificate;
use crate::messages::tls12::certificate_request::CertificateRequest;
use crate::messages::tls12::certificate_status::CertificateStatus;
use crate::messages::tls12::client_key_exchange::ClientKeyExchange;
use crate::messages::tls12::new_session_ticket::NewSessionTicket;
use crate::messages::tls12::server_key_exchange::{EcdhParams, ServerKeyExchange};

pub(super) fn certificate() -> impl Strategy<Value = Certificate> {
    vec(bytes(1..40).prop_map(Into::into), 0..5).prop_map(|chain| Certificate { chain })
}

prop_compose! {
    pub(super) fn certificate_request()(
        certificate_types in bytes(1..5),
        signature_algorithms in codes(1..6),
        certificate_authorities in vec(bytes(1..20), 0..4),
    ) -> CertificateRequest {
        CertificateRequest { certificate_types, signature_algorithms, certificate_authorities }
    }
}

pub(super) fn certificate_status() -> impl Strategy<Value = CertificateStatus> {
    bytes(1..100).prop_map(|ocsp| CertificateStatus { ocsp })
}

pub(super) fn client_key_exchange() -> impl Strategy<Value = ClientKeyExchange> {
    bytes(1..=255).prop_map(|public| ClientKeyExchange { public })
}

prop_compose! {
    pub(super) fn server_key_exchange()(
        group in any::<u16>(),
        public in bytes(1..=255),
        scheme in any::<u16>(),
        signature in bytes(0..100),
    ) -> ServerKeyExchange {
        let params = EcdhParams { group: group.into(), public };
        ServerKeyExchange { params, scheme: scheme.into(), signature }
    }
}

prop_compose! {
    pub(super) fn new_session_ticket()(lifetime_hint in any::<u32>(), ticket in bytes(0..100)) -> NewSessionTicket {
        NewSessionTicket { lifetime_hint, ticket }
    }
}
