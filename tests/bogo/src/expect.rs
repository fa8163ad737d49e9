//! The `-expect-*` flags: whether a connection came out as the runner wants it.

use std::fmt::Debug;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tls_core::{ClientHello, Connection, EarlyData, ExtensionType, HookError, ProtocolVersion};

use crate::flags::{Expect, Options};

/// An expectation that was not met, in words.
#[derive(Debug)]
pub(crate) struct Unexpected(pub(crate) String);

impl From<Unexpected> for HookError {
    fn from(unexpected: Unexpected) -> Self {
        format!("{UNEXPECTED}: {}", unexpected.0).into()
    }
}

/// Begins what a hook says whose expectations are not met.
pub(crate) const UNEXPECTED: &str = "unexpected";

pub(crate) fn require<T: PartialEq + Debug + ?Sized>(
    what: &str,
    expected: &T,
    found: &T,
) -> Result<(), Unexpected> {
    match expected == found {
        true => Ok(()),
        false => Err(Unexpected(format!(
            "{what}: {found:?} where {expected:?} was expected"
        ))),
    }
}

/// On a server, as soon as the ClientHello is there.
pub(crate) fn check_client_hello(expect: &Expect, hello: &ClientHello) -> Result<(), Unexpected> {
    if let Some(name) = &expect.server_name {
        require("server name", &Some(name.as_str()), &hello.server_name())?;
    }
    if let Some(names) = &expect.advertised_alpn {
        let wire = hello
            .extension(ExtensionType::ALPN)
            .and_then(|content| content.get(2..));
        require("ALPN", &Some(names.as_slice()), &wire)?;
    }
    if !expect.peer_verify_schemes.is_empty() {
        let found = hello.signature_algorithms();
        require(
            "signature_algorithms",
            expect.peer_verify_schemes.as_slice(),
            found,
        )?;
    }
    let has_renegotiation_info = hello.extension(ExtensionType::RENEGOTIATION_INFO).is_some()
        || hello
            .cipher_suites()
            .contains(&tls_core::CipherSuite::TLS_EMPTY_RENEGOTIATION_INFO_SCSV);
    if expect.secure_renegotiation && !has_renegotiation_info {
        // In TLS 1.3 there is no renegotiation at all, which counts as secure.
        let is_tls13 = hello.supported_versions().contains(&ProtocolVersion::TLS13);
        require("secure renegotiation or TLS 1.3", &true, &is_tls13)?;
    }
    if expect.extended_main_secret && hello.extension(ExtensionType::EXTENDED_MAIN_SECRET).is_none() {
        let is_tls13 = hello.supported_versions().contains(&ProtocolVersion::TLS13);
        require("extended main secret or TLS 1.3", &true, &is_tls13)?;
    }
    Ok(())
}

/// What is known of a connection besides what it says itself.
pub(crate) struct About {
    pub(crate) server: bool,
    pub(crate) is_resumption: bool,
    /// On a server that keeps sessions under an id: whether it kept one.
    pub(crate) stored_session: bool,
    /// A session came with the handshake (client, TLS 1.2).
    pub(crate) got_session: bool,
    pub(crate) credential: Option<usize>,
    /// How many credentials have numbers; the default comes behind them.
    pub(crate) numbered: usize,
    pub(crate) verification_failed: bool,
}

/// After the handshake.
pub(crate) fn check_connection(
    options: &Options,
    connection: &Connection,
    about: &About,
) -> Result<(), Unexpected> {
    let expect = &options.expect;
    let found = connection.negotiated();
    let is_tls13 = found.version() == ProtocolVersion::TLS13;
    let should_resume = about.is_resumption && !expect.session_miss;
    require("resumed", &should_resume, &found.is_resumed())?;
    if let Some(version) = expect.version {
        require("version", &version, &found.version())?;
    }
    let suite = expect.cipher.or(expect.cipher_aes);
    if let Some(suite) = suite {
        require("cipher suite", &suite, &found.cipher_suite().0)?;
    }
    if !about.server && !is_tls13 {
        let new = !expect.no_session && (!found.is_resumed() || expect.ticket_renewal);
        require("new session", &new, &about.got_session)?;
    }
    if let (Some(stored), false) = (expect.session_id, about.is_resumption) {
        require("session kept by its id", &stored, &about.stored_session)?;
    }
    let alpn = match about.server {
        true => options.select_alpn.as_deref(),
        false => expect.alpn.as_deref(),
    };
    require(
        "application protocol",
        alpn.unwrap_or_default(),
        found.alpn().unwrap_or_default(),
    )?;
    // What a resumed connection of TLS 1.2 has no exchange of its own for is not looked at.
    if let Some(group) = expect.group
        && let Some(found) = found.group()
    {
        require("group", &group, &found)?;
    }
    if let Some(scheme) = expect.peer_scheme
        && !found.is_resumed()
    {
        require(
            "the peer's signature scheme",
            &Some(scheme),
            &found.peer_signature_scheme(),
        )?;
    }
    if let Some(retry) = expect.retry_request {
        require("HelloRetryRequest", &retry, &found.had_hello_retry_request())?;
    }
    check_peer(options, connection, about)?;
    check_early_data(options, connection, about)?;
    if let Some(credential) = expect.credential {
        let chosen = about
            .credential
            .filter(|index| *index < about.numbered)
            .map_or(-1, |index| index as i64);
        require("credential", &credential, &chosen)?;
    }
    Ok(())
}

fn check_peer(options: &Options, connection: &Connection, about: &About) -> Result<(), Unexpected> {
    let expect = &options.expect;
    let found = connection.negotiated();
    let certificates = found.peer_certificates();
    if expect.no_peer_certificate {
        require("number of peer certificates", &0, &certificates.len())?;
    } else if !about.server || options.require_client_certificate {
        require("peer certificates", &true, &!certificates.is_empty())?;
    }
    if let Some(path) = &expect.peer_certificates {
        let expected: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|error| Unexpected(format!("{}: {error}", path.display())))?;
        require("peer certificates", expected.as_slice(), certificates)?;
    }
    let chain = found.peer_chain();
    if let Some(response) = &expect.ocsp_response {
        let stapled = chain.and_then(|chain| chain.ocsp_response.as_deref());
        require("OCSP response", &Some(response.as_slice()), &stapled)?;
    }
    if let Some(scts) = &expect.scts {
        let stapled = chain.and_then(|chain| chain.scts.as_deref());
        require("SCTs", &Some(scts.as_slice()), &stapled)?;
    }
    if expect.verify_result {
        require(
            "verification has failed",
            &options.verify_fails,
            &about.verification_failed,
        )?;
    }
    Ok(())
}

fn check_early_data(options: &Options, connection: &Connection, about: &About) -> Result<(), Unexpected> {
    let expect = &options.expect;
    let found = connection.negotiated().early_data();
    if expect.early_data_accepted && about.is_resumption {
        require("early data", &EarlyData::Accepted, &found)?;
    }
    if expect.early_data_rejected && about.is_resumption {
        require("early data accepted", &false, &(found == EarlyData::Accepted))?;
    }
    if expect.no_early_data_offer && about.is_resumption && !about.server {
        require("early data", &EarlyData::NotOffered, &found)?;
    }
    match expect.early_data_reason.as_deref() {
        None => Ok(()),
        Some("accept") => require("early data", &EarlyData::Accepted, &found),
        Some("disabled") => require(
            "early data enabled and accepted",
            &(false, false),
            &(options.enable_early_data, found == EarlyData::Accepted),
        ),
        Some(reason) => {
            require("early data accepted", &false, &(found == EarlyData::Accepted))?;
            let negotiated = connection.negotiated();
            match reason {
                "no_session_offered" | "session_not_resumed" => {
                    require("resumed", &false, &negotiated.is_resumed())
                }
                "hello_retry_request" => {
                    require("HelloRetryRequest", &true, &negotiated.had_hello_retry_request())
                }
                "protocol_version" => require("version", &ProtocolVersion::TLS12, &negotiated.version()),
                "peer_declined" => require("early data", &EarlyData::Rejected, &found),
                // The library does not say for which reason a server has rejected it.
                _ => Ok(()),
            }
        }
    }
}
