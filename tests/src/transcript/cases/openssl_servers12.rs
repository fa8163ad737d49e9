//! Our client of TLS 1.2 with `openssl s_server`.

use crate::transcript::case::{Case, Program, Setting as Set, Step};
use tls_core::{CipherSuite as C, NamedGroup as G, ProtocolVersion, SignatureScheme as S};

use super::{Change as _, Planned as _, case, plan};

/// A line there, its reverse back, and the end.
const TALK: [Step; 4] = [
    Step::Send("ping\n"),
    Step::Receive("gnip\n"),
    Step::Close,
    Step::AwaitEnd,
];

fn client(name: &str, arguments: &[&'static str]) -> Case {
    let name = format!("client-tls12-{name}");
    case(name, Program::OpenSsl, ProtocolVersion::TLS12, arguments).steps(&TALK)
}

const REV: &[&str] = &["-tls1_2", "-rev"];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, suite, identity) in [
        ("ecdsa-aes128", C::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "p256"),
        ("ecdsa-aes256", C::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "p256"),
        (
            "ecdsa-chacha20",
            C::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            "p256",
        ),
        ("rsa-aes128", C::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "rsa2048"),
        ("rsa-aes256", C::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "rsa2048"),
        (
            "rsa-chacha20",
            C::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            "rsa2048",
        ),
    ] {
        cases.push(
            client(name, REV)
                .identity(identity)
                .set([Set::Suites(vec![suite])]),
        );
    }
    for (name, group) in [
        ("x25519", G::X25519),
        ("secp256r1", G::SECP256R1),
        ("secp384r1", G::SECP384R1),
        ("secp521r1", G::SECP521R1),
    ] {
        cases.push(client(name, REV).set([Set::Groups(vec![group, G::SECP256R1])]));
    }
    for identity in ["p384", "p521", "rsa3072", "rsa4096", "ed25519"] {
        let groups = vec![G::X25519, G::SECP256R1, G::SECP384R1, G::SECP521R1];
        cases.push(
            client(identity, REV)
                .identity(identity)
                .set([Set::Groups(groups)]),
        );
    }
    for (name, scheme) in [
        ("pkcs1-sha256", S::RSA_PKCS1_SHA256),
        ("pkcs1-sha384", S::RSA_PKCS1_SHA384),
        ("pkcs1-sha512", S::RSA_PKCS1_SHA512),
        ("pss-sha256", S::RSA_PSS_RSAE_SHA256),
        ("pss-sha384", S::RSA_PSS_RSAE_SHA384),
        ("pss-sha512", S::RSA_PSS_RSAE_SHA512),
    ] {
        let schemes = vec![scheme, S::ECDSA_SECP256R1_SHA256];
        cases.push(client(name, REV).identity("rsa2048").set([Set::Schemes(schemes)]));
    }
    cases.push(client("chain-large", REV).identity("large"));
    cases.extend(extensions());
    cases.extend(client_certificates());
    cases.extend(resumption());
    cases.extend(endings());
    cases
}

fn extensions() -> Vec<Case> {
    let alpn = |protocols: &[&'static str]| [Set::Alpn(protocols.to_vec())];
    let fatal = [
        "-tls1_2",
        "-rev",
        "-servername",
        "second.test",
        "-cert2",
        "{pki}/second-leaf.pem",
        "-key2",
        "{pki}/second-key.pem",
        "-servername_fatal",
    ];
    vec![
        client("alpn", &["-tls1_2", "-rev", "-alpn", "h2,http/1.1"]).set(alpn(&["http/1.1", "h2"])),
        client("alpn-ignored", REV).set(alpn(&["h2"])),
        client("alpn-no-match", &["-tls1_2", "-rev", "-alpn", "h2"]).set(alpn(&["acme"])),
        client("sni-none", REV).set([Set::SendServerName(false)]),
        client("sni-unknown", &fatal),
        client("split-records", &["-tls1_2", "-rev", "-max_send_frag", "512"]).identity("rsa4096"),
        client("both-versions", REV).set([Set::Versions(ProtocolVersion::TLS12, ProtocolVersion::TLS13)]),
    ]
}

fn client_certificates() -> Vec<Case> {
    let asking = [
        "-tls1_2",
        "-rev",
        "-Verify",
        "3",
        "-CAfile",
        "{pki}/root-ca.pem",
        "-verify_return_error",
    ];
    let own = ["p256", "p384", "p521", "rsa2048", "ed25519"];
    let files = [
        "client-p256",
        "client-p384",
        "client-p521",
        "client-rsa2048",
        "client-ed25519",
    ];
    let mut cases: Vec<Case> = (own.iter().zip(files))
        .map(|(name, file)| {
            // OpenSSL refuses a curve that was not among the groups.
            let groups = Set::Groups(vec![G::X25519, G::SECP256R1, G::SECP384R1, G::SECP521R1]);
            client(&format!("client-certificate-{name}"), &asking).set([Set::Certificate(file), groups])
        })
        .collect();
    let optional = ["-tls1_2", "-rev", "-verify", "3", "-CAfile", "{pki}/root-ca.pem"];
    cases.push(client("client-certificate-none", &optional));
    cases.push(client("client-certificate-missing", &asking));
    cases.push(client("client-certificate-unknown-ca", &asking).set([Set::Certificate("client-stranger")]));
    cases
}

fn resumption() -> Vec<Case> {
    let ids = ["-tls1_2", "-rev", "-no_ticket"];
    let remember = || [Set::SessionCache];
    let twice = || [plan(&TALK), plan(&TALK)];
    vec![
        client("resumption-ticket", REV).set(remember()).plans(twice()),
        client("resumption-id", &ids).set(remember()).plans(twice()),
        client("resumption-refused", REV)
            .set(remember())
            .plans([plan(&TALK), plan(&TALK).arguments(&["-naccept", "1"])]),
    ]
}

fn endings() -> Vec<Case> {
    let label = "EXPORTER-transcript";
    let exporting = ["-tls1_2", "-keymatexport", label, "-keymatexportlen", "32"];
    vec![
        client("exporter", &exporting).steps(&[
            Step::Say("bye\n"),
            Step::Receive("bye\n"),
            Step::Say("Q\n"),
            Step::Export(label),
            Step::AwaitEnd,
        ]),
        client("renegotiation-refused", &["-tls1_2"]).steps(&[
            Step::Say("before\n"),
            Step::Receive("before\n"),
            Step::Say("r\n"),
            Step::AwaitEnd,
        ]),
        client("close-by-peer", &["-tls1_2", "-WWW"])
            .steps(&[Step::Send("GET /Cargo.toml HTTP/1.0\r\n\r\n"), Step::AwaitEnd]),
        client("truncated-by-peer", &["-tls1_2"]).steps(&[
            Step::Say("bye\n"),
            Step::Receive("bye\n"),
            Step::Say("Q\n"),
            Step::AwaitEnd,
        ]),
        client("expired", REV).identity("expired"),
        client("wrong-name", REV).identity("wrong-name"),
        client("unknown-ca", REV).identity("stranger"),
        client(
            "no-suite",
            &["-tls1_2", "-rev", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"],
        )
        .set([Set::Suites(vec![C::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256])]),
        client("no-group", &["-tls1_2", "-rev", "-groups", "P-521"]),
        client("no-version", &["-tls1_3", "-rev"]),
    ]
}
