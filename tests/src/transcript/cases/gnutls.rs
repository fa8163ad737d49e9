//! GnuTLS on the other side: one more implementation that is neither ours nor OpenSSL's.

use crate::transcript::case::{Case, Program, Setting as Set, Step};
use tls_core::{CipherSuite as C, NamedGroup as G, ProtocolVersion};

use super::{Change as _, case, plan};

const ECHO: [Step; 4] = [
    Step::Send("ping\n"),
    Step::Receive("ping\n"),
    Step::Close,
    Step::AwaitEnd,
];

const ANSWER: [Step; 6] = [
    Step::Say("ping\n"),
    Step::Receive("ping\n"),
    Step::Send("pong\n"),
    Step::EndInput,
    Step::AwaitEnd,
    Step::Close,
];

const TLS13: &str = "NORMAL:-VERS-ALL:+VERS-TLS1.3";
const TLS12: &str = "NORMAL:-VERS-ALL:+VERS-TLS1.2";

fn client(version: ProtocolVersion, name: &str, priority: &'static str) -> Case {
    let short = short(version);
    let arguments = ["--echo", "--quiet", "--priority", priority];
    case(
        format!("client-{short}-gnutls-{name}"),
        Program::GnuTls,
        version,
        &arguments,
    )
    .steps(&ECHO)
}

fn server(version: ProtocolVersion, name: &str, priority: &'static str) -> Case {
    let short = short(version);
    let arguments = [
        "--sni-hostname",
        "server.test",
        "--verify-hostname",
        "server.test",
        "--priority",
        priority,
    ];
    case(
        format!("server-{short}-gnutls-{name}"),
        Program::GnuTls,
        version,
        &arguments,
    )
    .steps(&ANSWER)
}

fn short(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLS12 => "tls12",
        _ => "tls13",
    }
}

pub(super) fn cases() -> Vec<Case> {
    let (v12, v13) = (ProtocolVersion::TLS12, ProtocolVersion::TLS13);
    let remember = || [Set::SessionCache];
    let keep = [
        Step::Send("ping\n"),
        Step::Receive("ping\n"),
        Step::ReadTickets(1),
        Step::Close,
        Step::AwaitEnd,
    ];
    let mut cases = Vec::new();
    for identity in ["p256", "p384", "rsa2048", "ed25519"] {
        cases.push(client(v13, identity, TLS13).identity(identity));
        cases.push(client(v12, identity, TLS12).identity(identity));
        cases.push(server(v13, identity, TLS13).set([Set::Certificate(identity)]));
        cases.push(server(v12, identity, TLS12).set([Set::Certificate(identity)]));
    }
    let chacha = C::TLS_CHACHA20_POLY1305_SHA256;
    cases.extend([
        client(v13, "chacha20", TLS13).set([Set::Suites(vec![chacha])]),
        server(v13, "chacha20", TLS13).set([Set::Suites(vec![chacha])]),
        client(
            v13,
            "hrr",
            "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-SECP384R1",
        ),
        server(v13, "hrr", TLS13).set([Set::Groups(vec![G::SECP521R1])]),
        client(v13, "resumption", TLS13)
            .set(remember())
            .plans([plan(&keep), plan(&ECHO)]),
        client(v12, "resumption", TLS12)
            .set(remember())
            .plans([plan(&ECHO), plan(&ECHO)]),
        client(
            v12,
            "no-extended-main-secret",
            "NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_SESSION_HASH",
        ),
        client(
            v12,
            "old-extended-main-secret",
            "NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_SESSION_HASH",
        )
        .set([Set::AllowMissingExtendedMainSecret]),
        client(
            v12,
            "no-renegotiation-info",
            "NORMAL:-VERS-ALL:+VERS-TLS1.2:%DISABLE_SAFE_RENEGOTIATION",
        ),
        server(
            v12,
            "no-extended-main-secret",
            "NORMAL:-VERS-ALL:+VERS-TLS1.2:%NO_SESSION_HASH",
        ),
        server(v13, "unknown-ca", TLS13).set([Set::Certificate("stranger")]),
        server(v12, "wrong-name", TLS12).set([Set::Certificate("wrong-name")]),
        server(v13, "exporter", TLS13).steps(&[
            Step::Export("EXPORTER-transcript"),
            Step::EndInput,
            Step::AwaitEnd,
            Step::Close,
        ]),
    ]);
    cases
}
