//! TLS 1.3, server side: the right-hand column of the figure in section 2, after the first ClientHello.

use std::sync::Arc;

use super::chain::choose_server_certificate;
use super::client_auth::{ClientIdentity, read_client13, send_certificate_request13};
use super::keys::{HandshakeKeys, establish, start_handshake_keys};
use super::server::{choose_alpn, choose_suite};
use super::signature::{schemes_for_handshake, send_certificate_verify};
use super::{early13, psk13};
use crate::config::{Common, ServerSettings};
use crate::connection::{Connection, ReadEvent};
use crate::crypto::hash::HashValue;
use crate::crypto::key_exchange;
use crate::crypto::random::HandshakeRandom;
use crate::crypto::suites::Suite;
use crate::error::{Error, Misbehaviour, NothingInCommon, Side};
use crate::hooks::CertifiedKey;
use crate::key_schedule::{ApplicationSecrets, EarlySchedule, Exporter};
use crate::messages::certificate::CertificateRef;
use crate::messages::client_hello::{ClientHello, Compression};
use crate::messages::encrypted_extensions::EncryptedExtensions;
use crate::messages::extensions::{Place, check_placement};
use crate::messages::key_share::KeyShareEntry;
use crate::messages::server_hello::{HelloRetryRequest, ServerExtensions, ServerHello, ServerHelloMessage};
use crate::negotiated::{EarlyData, Negotiated};
use crate::peer::Peer;
use crate::record::Input;
use crate::registry::{ExtensionType, NamedGroup, ProtocolVersion};
use crate::transcript::Transcript;

/// Early data of a client that believes it may send some is skipped up to this many bytes, headers included: what
/// tickets commonly allow, and what BoringSSL skips. To this comes twice what our own tickets allow: records of 27
/// bytes and more are at most twice as long as their content.
const SKIPPED_EARLY_DATA: usize = 16 * 1024;

/// More key shares in one ClientHello than there are groups in use.
const MAX_KEY_SHARES: usize = 32;

/// What the server's flight leaves behind for [`finish`].
pub(super) struct Responded {
    keys: HandshakeKeys,
    secrets: ApplicationSecrets,
    negotiated: Box<Negotiated>,
    tickets_wanted: u8,
    /// Early data that is under way to us.
    early: Option<early13::Accepted>,
    /// Of a session; `None` where the client has yet to say who it is.
    identity: Option<ClientIdentity>,
}

/// Answers the ClientHello: from the ServerHello, or a HelloRetryRequest, to the server's Finished. Early data is
/// accepted if the caller can take it.
pub(super) async fn respond(
    peer: &mut Peer<'_>,
    hello: Arc<ClientHello>,
    config: &ServerSettings,
    takes_early_data: bool,
) -> Result<Responded, Error> {
    check_client_hello(&hello)?;
    if hello.extensions.early_data {
        peer.read_while_writing();
    }
    let suite = choose_suite(&hello, config.common.suites(ProtocolVersion::TLS13))?;
    let first_binders = psk13::first_binder_hash(&peer.transcript, &hello, suite);
    peer.transcript.start(suite.hash);
    let first_had_early_data = hello.extensions.early_data;
    let Answerable {
        hello,
        binder_hash,
        group,
        retried,
    } = retry_if_no_usable_share(peer, hello, first_binders, suite, config).await?;
    let alpn = choose_alpn(&hello, &config.common)?;
    let resumed = psk13::select_psk(peer, &hello, binder_hash, suite, alpn.as_deref(), config).await?;
    let (resumed, identity) = resumed.unzip();
    let early = match &resumed {
        Some(resumed) if takes_early_data && !retried => {
            early13::admit(peer, &hello, resumed, suite, config).await?
        }
        _ => None,
    };
    if let (None, Some(resumed), true) = (&early, &resumed, hello.extensions.early_data) {
        // As much as it was promised, although the promise does not hold any more.
        let promised = resumed.max_early_data.max(config.max_early_data);
        peer.input.set_skip_early_data(Some(skipped_early_data(promised)));
    }
    let chosen = match &resumed {
        Some(_) => None,
        None => {
            let schemes = schemes_for_handshake(hello.signature_algorithms());
            Some(choose_server_certificate(peer, &hello, config, &schemes).await?)
        }
    };

    let was_resumed = resumed.is_some();
    let choice = Choice {
        suite,
        group,
        retried,
        resumed,
        early_data: early.is_some(),
    };
    let keys = send_server_hello(peer, &hello, choice, &config.common)?;
    let tickets_wanted = psk13::tickets_wanted(&hello, was_resumed, config);
    send_encrypted_extensions(
        peer,
        &hello,
        alpn.as_deref(),
        early.is_some(),
        tickets_wanted,
        // Not where a session is resumed (RFC 6066 section 3).
        config.acknowledges_server_name && !was_resumed,
    )?;
    if let Some((certified, scheme)) = &chosen {
        send_certificate_request13(peer, config)?;
        send_certificate(peer, &hello, certified)?;
        send_certificate_verify(peer, Side::Server, certified, *scheme).await?;
    }
    keys.send_finished(peer)?;

    let secrets = keys.application_secrets(peer, &config.common, &hello.random);
    peer.set_write_keys(suite, &secrets.server.key_and_iv(suite.key_len()))?;
    let negotiated = Box::new(Negotiated {
        version: ProtocolVersion::TLS13,
        cipher_suite: suite.id,
        group: Some(group),
        signature_scheme: chosen.map(|(_, scheme)| scheme),
        peer_signature_scheme: None,
        resumed: was_resumed,
        alpn,
        server_name: hello.server_name().map(str::to_owned),
        peer_chain: identity.as_ref().and_then(ClientIdentity::chain),
        retried,
        early_data: match &early {
            Some(_) => EarlyData::Accepted,
            None if first_had_early_data => EarlyData::Rejected,
            None => EarlyData::NotOffered,
        },
    });
    Ok(Responded {
        keys,
        secrets,
        negotiated,
        tickets_wanted,
        early,
        identity,
    })
}

/// For a caller that takes early data, and writes before the handshake is over.
impl Responded {
    pub(super) fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// The exporter of the early data that was accepted.
    pub(super) fn early_exporter(&self) -> Option<&Exporter> {
        self.early.as_ref().map(|early| &early.exporter)
    }

    /// The next piece of early data, which is then lent by the input; [`ReadEvent::Closed`] at its end, or where none
    /// was accepted.
    pub(super) fn read_early_data(
        &mut self,
        input: &mut Input,
        transcript: &mut Transcript,
    ) -> Result<ReadEvent, Error> {
        match &mut self.early {
            Some(early) => early.read(input, transcript, &mut self.keys),
            None => Ok(ReadEvent::Closed),
        }
    }
}

/// Waits for the client's Finished, and before it for its certificate where it was asked for one.
pub(super) async fn finish(
    peer: &mut Peer<'_>,
    responded: Responded,
    config: &ServerSettings,
) -> Result<Connection, Error> {
    let Responded {
        mut keys,
        secrets,
        mut negotiated,
        tickets_wanted,
        early,
        identity,
    } = responded;
    let suite = keys.suite;
    let (early_exporter, unread) = match early {
        Some(mut early) => {
            let unread = early.read_rest(peer, &mut keys).await?;
            (Some(early.exporter), unread)
        }
        None => (None, Vec::new()),
    };
    let identity = match identity {
        Some(identity) => identity,
        None => read_client13(peer, config).await?,
    };
    negotiated.peer_chain = identity.chain();
    negotiated.peer_signature_scheme = identity.scheme();
    let finished = keys.read_finished(peer).await?;
    peer.set_read_keys(suite, &secrets.client.key_and_iv(suite.key_len()))?;
    if tickets_wanted > 0 {
        let resumption = keys.into_resumption(peer);
        psk13::send_new_session_tickets(peer, tickets_wanted, &negotiated, &identity, &resumption, config)
            .await?;
    }
    let connection = establish(
        peer,
        suite,
        secrets,
        *negotiated,
        finished,
        identity.into_authenticated(),
    );
    Ok(connection.with_early_data(early_exporter, unread))
}

/// What TLS 1.3 asks of every ClientHello with certificates and (EC)DHE (sections 4.1.2, 4.2.9
/// and 9.2).
fn check_client_hello(hello: &ClientHello) -> Result<(), Error> {
    check_placement(&hello.extensions.extension_types, Place::ClientHello)?;
    if hello.compression != Compression::OnlyNull {
        return Err(Misbehaviour::IllegalParameter("legacy_compression_methods").into());
    }
    let extensions = &hello.extensions;
    let required = [
        (
            ExtensionType::SUPPORTED_GROUPS,
            extensions.supported_groups.is_some(),
        ),
        (
            ExtensionType::SIGNATURE_ALGORITHMS,
            extensions.signature_algorithms.is_some(),
        ),
        (ExtensionType::KEY_SHARE, extensions.key_shares.is_some()),
        (
            ExtensionType::PSK_KEY_EXCHANGE_MODES,
            extensions.psk_key_exchange_modes.is_some() || extensions.pre_shared_key.is_none(),
        ),
    ];
    match required.into_iter().find(|(_, there)| !there) {
        Some((missing, _)) => Err(Misbehaviour::MissingExtension(missing).into()),
        None => Ok(()),
    }
}

/// A ClientHello with a share that we can use.
struct Answerable {
    hello: Arc<ClientHello>,
    /// What its binders are made over, if it has some.
    binder_hash: Option<HashValue>,
    group: NamedGroup,
    retried: bool,
}

/// Our best group for which the client sent a share; where there is none, but a common group, the client is asked
/// for a share of that (section 4.1.4).
async fn retry_if_no_usable_share(
    peer: &mut Peer<'_>,
    hello: Arc<ClientHello>,
    binder_hash: Option<HashValue>,
    suite: &Suite,
    config: &ServerSettings,
) -> Result<Answerable, Error> {
    let common = &config.common;
    check_key_shares(&hello)?;
    if let Some(group) = common
        .groups
        .iter()
        .find(|group| key_share(&hello, **group).is_some())
    {
        if hello.extensions.early_data {
            // Undecryptable records until the client's second flight (section 4.2.10).
            peer.input
                .set_skip_early_data(Some(skipped_early_data(config.max_early_data)));
        }
        return Ok(Answerable {
            hello,
            binder_hash,
            group: *group,
            retried: false,
        });
    }
    let theirs = hello.extensions.supported_groups.as_deref().unwrap_or_default();
    let Some(&group) = common.groups.iter().find(|group| theirs.contains(group)) else {
        return Err(NothingInCommon::Group {
            theirs: theirs.to_vec(),
            ours: common.groups.clone(),
        }
        .into());
    };
    send_hello_retry_request(peer, &hello, suite, group)?;
    if hello.extensions.early_data {
        peer.input
            .set_skip_early_data(Some(skipped_early_data(config.max_early_data)));
    }
    let (mut second, message) = peer.read_unhashed::<ClientHello>().await?;
    second.raw = message;
    let second = Arc::new(second);
    let binder_hash = psk13::binder_hash(&peer.transcript, &second, suite, second.raw());
    peer.transcript.add(second.raw());
    peer.input.set_skip_early_data(None);
    peer.input.end_of_flight()?;
    check_second_client_hello(&hello, &second, suite, group)?;
    Ok(Answerable {
        hello: second,
        binder_hash,
        group,
        retried: true,
    })
}

fn skipped_early_data(promised: u32) -> usize {
    let promised = usize::try_from(promised).unwrap_or(usize::MAX);
    SKIPPED_EARLY_DATA.saturating_add(promised.saturating_mul(2))
}

fn key_share(hello: &ClientHello, group: NamedGroup) -> Option<&KeyShareEntry> {
    hello
        .extensions
        .key_shares
        .as_ref()?
        .iter()
        .find(|share| share.group == group)
}

/// Shares are for offered groups only (section 4.2.8).
fn check_key_shares(hello: &ClientHello) -> Result<(), Error> {
    let groups = hello.extensions.supported_groups.as_deref().unwrap_or_default();
    let shares = hello.extensions.key_shares.as_deref().unwrap_or_default();
    // A client cannot have a share for more groups than it has; this also bounds the work of the next line.
    let few = shares.len() <= groups.len().min(MAX_KEY_SHARES);
    match few && shares.iter().all(|share| groups.contains(&share.group)) {
        true => Ok(()),
        false => Err(
            Misbehaviour::IllegalParameter("key share for a group that is not in supported_groups").into(),
        ),
    }
}

fn send_hello_retry_request(
    peer: &mut Peer<'_>,
    hello: &ClientHello,
    suite: &Suite,
    group: NamedGroup,
) -> Result<(), Error> {
    peer.transcript.restart_for_retry();
    peer.send(&ServerHelloMessage::Retry(HelloRetryRequest {
        legacy_version: ProtocolVersion::TLS12,
        session_id: hello.session_id,
        cipher_suite: suite.id,
        supported_version: Some(ProtocolVersion::TLS13),
        selected_group: Some(group),
        cookie: None,
        extension_types: Vec::new(),
    }))?;
    send_change_cipher_spec(peer, hello)
}

/// The second ClientHello may differ from the first in what it was asked for, and little else (section 4.1.2).
fn check_second_client_hello(
    first: &ClientHello,
    second: &ClientHello,
    suite: &Suite,
    group: NamedGroup,
) -> Result<(), Error> {
    check_client_hello(second)?;
    let same = first.random == second.random
        && first.session_id == second.session_id
        && first.cipher_suites == second.cipher_suites
        && first.extensions.supported_versions == second.extensions.supported_versions
        && first.extensions.server_name == second.extensions.server_name
        && first.extensions.alpn == second.extensions.alpn
        && first.extensions.supported_groups == second.extensions.supported_groups
        && first.extensions.signature_algorithms == second.extensions.signature_algorithms;
    if !same {
        return Err(Misbehaviour::Mismatch("the second ClientHello").into());
    }
    debug_assert!(second.cipher_suites.contains(&suite.id));
    if second.extensions.early_data {
        return Err(Misbehaviour::IllegalParameter("early_data after HelloRetryRequest").into());
    }
    match second.extensions.key_shares.as_deref() {
        Some([share]) if share.group == group => Ok(()),
        _ => Err(Misbehaviour::IllegalParameter("key_share after HelloRetryRequest").into()),
    }
}

/// What the ServerHello says.
struct Choice {
    suite: &'static Suite,
    group: NamedGroup,
    retried: bool,
    resumed: Option<psk13::Resumed>,
    early_data: bool,
}

/// ServerHello (section 4.1.3); what follows goes under the handshake keys.
fn send_server_hello(
    peer: &mut Peer<'_>,
    hello: &ClientHello,
    choice: Choice,
    common: &Common,
) -> Result<HandshakeKeys, Error> {
    let Choice {
        suite,
        group,
        retried,
        resumed,
        early_data,
    } = choice;
    let theirs = key_share(hello, group).ok_or(Misbehaviour::MissingExtension(ExtensionType::KEY_SHARE))?;
    let (key_exchange, shared_secret) = key_exchange::respond(group, &theirs.key_exchange)?;
    peer.send(&ServerHelloMessage::Hello(ServerHello {
        legacy_version: ProtocolVersion::TLS12,
        random: HandshakeRandom::new()?.take()?,
        session_id: hello.session_id,
        cipher_suite: suite.id,
        extensions: ServerExtensions {
            supported_version: Some(ProtocolVersion::TLS13),
            key_share: Some(KeyShareEntry { group, key_exchange }),
            pre_shared_key: resumed.as_ref().map(|resumed| resumed.selected),
            ..ServerExtensions::default()
        },
    }))?;
    if !retried {
        send_change_cipher_spec(peer, hello)?;
    }
    // A client that sends early data has keys for its alerts already.
    peer.input.allow_plaintext_alerts(!early_data);
    let early = match resumed {
        Some(resumed) => resumed.schedule.into_early(),
        None => EarlySchedule::without_psk(suite.hash),
    };
    start_handshake_keys(
        peer,
        common,
        &hello.random,
        suite,
        group,
        early,
        early_data,
        &shared_secret,
    )
}

/// After our first message, for a client that wants to look like TLS 1.2 (section D.4).
fn send_change_cipher_spec(peer: &mut Peer<'_>, hello: &ClientHello) -> Result<(), Error> {
    match hello.session_id.is_empty() {
        true => Ok(()),
        false => peer.send_change_cipher_spec(),
    }
}

fn send_encrypted_extensions(
    peer: &mut Peer<'_>,
    hello: &ClientHello,
    alpn: Option<&[u8]>,
    early_data: bool,
    tickets: u8,
    acknowledges_server_name: bool,
) -> Result<(), Error> {
    peer.send(&EncryptedExtensions {
        // A client that asks for tickets is told how many to expect (RFC 9149 section 3).
        ticket_request: hello.extensions.ticket_request.map(|_| tickets),
        server_name: hello.server_name().is_some() && acknowledges_server_name,
        alpn: alpn.map(<[u8]>::to_vec),
        early_data,
        ..EncryptedExtensions::default()
    })
}

/// Our chain, with the staples that the client asked for (section 4.4.2.1).
fn send_certificate(peer: &mut Peer<'_>, hello: &ClientHello, certified: &CertifiedKey) -> Result<(), Error> {
    let ocsp = certified
        .ocsp_response()
        .filter(|_| hello.extensions.status_request);
    let scts = certified
        .scts()
        .filter(|_| hello.extensions.signed_certificate_timestamp);
    let mut message = Vec::new();
    CertificateRef {
        context: &[],
        chain: certified.chain(),
        ocsp,
        scts,
    }
    .encode_message(&mut message);
    peer.send_encoded(&message)
}
