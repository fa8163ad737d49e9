//! Early data, or 0-RTT, for both sides (sections 2.3, 4.2.10 and 8): offering and sending it, admitting and reading
//! it.

use core::time::Duration;
use std::sync::Arc;

use super::chain::unless_failed;
use super::keys::HandshakeKeys;
use super::psk13;
use crate::config::{ClientSettings, Common, ServerSettings};
use crate::connection::ReadEvent;
use crate::crypto::hash;
use crate::crypto::suites::Suite;
use crate::error::{Error, Misbehaviour};
use crate::key_schedule::Exporter;
use crate::messages::client_hello::ClientHello;
use crate::messages::encrypted_extensions::EncryptedExtensions;
use crate::messages::end_of_early_data::EndOfEarlyData;
use crate::messages::{HEADER_LEN, Message, decode_message};
use crate::peer::{Peer, unexpected};
use crate::record::{Incoming, Input};
use crate::registry::{CipherSuite, HandshakeType};
use crate::transcript::Transcript;

/// By how much the client's view of its ticket's age may differ from ours for early data to be fresh, in milliseconds
/// (section 8.3): clocks that run apart, and the time a ClientHello takes.
const FRESH: u64 = 10_000;

/// For how long the replay guard must remember: a ClientHello is fresh from [`FRESH`] before the time that its ticket
/// age stands for until as long after it, and the clocks of two servers may be 10 seconds apart.
const REPLAY_WINDOW: Duration = Duration::from_millis(2 * FRESH + 10_000);

// ---- Client

/// Early data that the server has not answered yet.
pub(super) struct Offered {
    exporter: Exporter,
    suite: CipherSuite,
    alpn: Option<Vec<u8>>,
    /// Bytes that the ticket allows.
    pub(super) limit: usize,
}

/// How much early data may go with this ticket: none where its suite, which the early data would have, is not among those
/// of the ClientHello, or its application protocol not the first of them (section 4.2.10): the caller has to know in which
/// protocol it writes.
pub(super) fn limit(hello: &ClientHello, psk: &psk13::Offered) -> usize {
    let state = &psk.session.parts().state;
    let preferred = hello
        .extensions
        .alpn
        .as_ref()
        .and_then(|names| names.iter().next());
    match preferred == state.alpn.as_deref() && hello.cipher_suites.contains(&state.cipher_suite) {
        true => usize::try_from(state.max_early_data).unwrap_or(usize::MAX),
        false => 0,
    }
}

/// Goes on under the early traffic keys. The ClientHello is all of the transcript, and says that early data follows.
pub(super) fn start(
    peer: &mut Peer<'_>,
    config: &ClientSettings,
    client_random: &[u8; 32],
    psk: &psk13::Offered,
    limit: usize,
) -> Result<Offered, Error> {
    let state = &psk.session.parts().state;
    let suite = psk.suite;
    let transcript_hash = peer.transcript.hash_with_suffix(suite.hash, &[]);
    let (secret, exporter) = psk.schedule.early_secrets(&transcript_hash);
    log(&config.common, client_random, secret.as_bytes(), &exporter);
    // Before all that is encrypted (section D.4).
    if config.middlebox_compatibility {
        peer.send_change_cipher_spec()?;
    }
    peer.set_write_keys(suite, &secret.key_and_iv(suite.key_len()))?;
    Ok(Offered {
        exporter,
        suite: suite.id,
        alpn: state.alpn.clone(),
        limit,
    })
}

impl Offered {
    /// The server has accepted it: that must not have changed what the data means (section 4.2.10).
    pub(super) fn accepted(self, suite: &Suite, answer: &EncryptedExtensions) -> Result<Exporter, Error> {
        if suite.id != self.suite {
            return Err(Misbehaviour::Mismatch("the cipher suite of early data").into());
        }
        if answer.alpn != self.alpn {
            return Err(Misbehaviour::Mismatch("the application protocol of early data").into());
        }
        Ok(self.exporter)
    }
}

// ---- Server

/// Early data that was accepted, and is being read.
pub(super) struct Accepted {
    pub(super) exporter: Exporter,
    /// Bytes that may still come.
    left: usize,
    ended: bool,
}

/// Decides on the early data that this ClientHello announces: the ticket must be the first one, fresh and of the same
/// suite, and allow early data, and nobody may have used this ClientHello before. If so, reading goes on under the early
/// traffic keys. The ClientHello is all of the transcript.
pub(super) async fn admit(
    peer: &mut Peer<'_>,
    hello: &ClientHello,
    resumed: &psk13::Resumed,
    suite: &Suite,
    config: &ServerSettings,
) -> Result<Option<Accepted>, Error> {
    const HOOK: &str = "ReplayGuard";
    let limit = resumed.max_early_data;
    // The time is that right before the guard is asked: what it remembers from then on outlasts the freshness.
    let may_be_accepted = hello.extensions.early_data
        && resumed.allows_early_data
        && (1..=config.max_early_data).contains(&limit)
        && config.common.clock.now_ms().abs_diff(resumed.sent_at) <= FRESH;
    let psks = hello.extensions.pre_shared_key.as_ref();
    let Some(binder) = psks
        .filter(|_| may_be_accepted)
        .and_then(|psks| psks.binders.first())
    else {
        return Ok(None);
    };
    // The binder is made over the whole ClientHello, its random among it, and this one was verified.
    let fingerprint = hash::sha256(binder);
    let context = Arc::clone(&peer.context);
    let answer = config
        .replay_guard
        .is_first_use(&fingerprint, REPLAY_WINDOW, &context);
    let answer = peer.ask(HOOK, answer).await;
    if unless_failed(HOOK, answer.map(Some)) != Some(true) {
        return Ok(None);
    }
    let (secret, exporter) = resumed.schedule.early_secrets(&peer.transcript.hash());
    log(&config.common, &hello.random, secret.as_bytes(), &exporter);
    peer.set_read_keys(suite, &secret.key_and_iv(suite.key_len()))?;
    peer.input.allow_application_data(true);
    peer.input.set_skip_early_data(None);
    Ok(Some(Accepted {
        exporter,
        left: usize::try_from(limit).unwrap_or(usize::MAX),
        ended: false,
    }))
}

impl Accepted {
    /// The next piece of early data, which is then lent by the input, or its end: from there on the client's handshake
    /// keys are in force.
    pub(super) fn read(
        &mut self,
        input: &mut Input,
        transcript: &mut Transcript,
        keys: &mut HandshakeKeys,
    ) -> Result<ReadEvent, Error> {
        if self.ended {
            return Ok(ReadEvent::Closed);
        }
        match input.next()? {
            Incoming::NeedMore => Ok(ReadEvent::NeedMore),
            Incoming::ApplicationData { .. } => {
                let left = self.left.checked_sub(input.payload().len());
                self.left = left.ok_or(Misbehaviour::TooMuchEarlyData)?;
                Ok(ReadEvent::Data)
            }
            Incoming::Handshake(EndOfEarlyData::TYPE) => {
                let message = input.message();
                decode_message::<EndOfEarlyData>(message.get(HEADER_LEN..).unwrap_or_default())?;
                transcript.add(message);
                if let Some(key) = keys.key_after_early_data()? {
                    input.set_keys(key)?;
                }
                input.allow_application_data(false);
                self.ended = true;
                Ok(ReadEvent::Closed)
            }
            Incoming::Handshake(got) => {
                let expected = HandshakeType::END_OF_EARLY_DATA;
                Err(Misbehaviour::UnexpectedMessage { expected, got }.into())
            }
            other => Err(unexpected(other)),
        }
    }

    /// Reads the early data that nobody took, to its end.
    pub(super) async fn read_rest(
        &mut self,
        peer: &mut Peer<'_>,
        keys: &mut HandshakeKeys,
    ) -> Result<Vec<u8>, Error> {
        let mut rest = peer.input.payload().to_vec();
        peer.expect(HandshakeType::END_OF_EARLY_DATA);
        loop {
            match self.read(&mut peer.input, &mut peer.transcript, keys)? {
                ReadEvent::NeedMore => peer.fill_with_early_data().await?,
                ReadEvent::Data => rest.extend_from_slice(peer.input.payload()),
                ReadEvent::Closed => return Ok(rest),
            }
        }
    }
}

fn log(common: &Common, client_random: &[u8; 32], secret: &[u8], exporter: &Exporter) {
    if let Some(log) = &common.key_log {
        log.log("CLIENT_EARLY_TRAFFIC_SECRET", client_random, secret);
        log.log("EARLY_EXPORTER_SECRET", client_random, exporter.as_bytes());
    }
}
