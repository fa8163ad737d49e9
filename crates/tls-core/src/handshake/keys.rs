//! The keys of a TLS 1.3 handshake, in the order in which they come into force, for both sides (section 7).

use crate::config::Common;
use crate::connection::{Connection, Epoch};
use crate::crypto::aead::OpeningKey;
use crate::crypto::key_exchange::SharedSecret;
use crate::crypto::suites::Suite;
use crate::error::{Error, Misbehaviour, Side};
use crate::hooks::PeerVerified;
use crate::key_schedule::{
    ApplicationSecrets, EarlySchedule, FinishedKey, MainSecret, ResumptionSecret, TrafficKeys,
};
use crate::messages::finished::Finished;
use crate::messages::short_bytes::VerifyData;
use crate::negotiated::Negotiated;
use crate::peer::Peer;
use crate::registry::NamedGroup;
use crate::verify::HandshakeSignatureVerified;

/// What the handshake keeps of the key schedule while it runs under the handshake keys.
pub(super) struct HandshakeKeys {
    pub(super) suite: &'static Suite,
    pub(super) group: NamedGroup,
    client_finished: FinishedKey,
    server_finished: FinishedKey,
    main: MainSecret,
    /// The client's keys, which come into force after its early data.
    after_early_data: Option<TrafficKeys>,
}

/// ClientHello...ServerHello are in the transcript: both directions go on under the handshake traffic keys, but for that
/// of the client where early data may be under way, until [`HandshakeKeys::end_early_data`].
#[expect(clippy::too_many_arguments, reason = "each is another fact of the handshake")]
pub(super) fn start_handshake_keys(
    peer: &mut Peer<'_>,
    common: &Common,
    client_random: &[u8; 32],
    suite: &'static Suite,
    group: NamedGroup,
    early: EarlySchedule,
    early_data: bool,
    shared_secret: &SharedSecret,
) -> Result<HandshakeKeys, Error> {
    let schedule = early.into_handshake(shared_secret.as_bytes(), &peer.transcript.hash());
    if let Some(log) = &common.key_log {
        log.log(
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            client_random,
            schedule.client.as_bytes(),
        );
        log.log(
            "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            client_random,
            schedule.server.as_bytes(),
        );
    }
    let (client, client_finished) = schedule.client.key_and_iv_and_finished(suite.key_len());
    let (server, server_finished) = schedule.server.key_and_iv_and_finished(suite.key_len());
    match peer.side() {
        Side::Client => peer.set_read_keys(suite, &server)?,
        Side::Server => peer.set_write_keys(suite, &server)?,
    }
    let mut keys = HandshakeKeys {
        suite,
        group,
        client_finished,
        server_finished,
        main: schedule.main,
        after_early_data: Some(client),
    };
    if !early_data {
        keys.end_early_data(peer)?;
    }
    Ok(keys)
}

impl HandshakeKeys {
    /// The client goes on under its handshake keys: it has sent, or we have read, the last of its early data, if any
    /// was accepted.
    pub(super) fn end_early_data(&mut self, peer: &mut Peer<'_>) -> Result<(), Error> {
        match (self.after_early_data.take(), peer.side()) {
            (Some(keys), Side::Client) => peer.set_write_keys(self.suite, &keys),
            (Some(keys), Side::Server) => peer.set_read_keys(self.suite, &keys),
            (None, _) => Ok(()),
        }
    }

    /// The same for a server whose handshake is parked: the key to read with, once.
    pub(super) fn key_after_early_data(&mut self) -> Result<Option<OpeningKey>, Error> {
        self.after_early_data
            .take()
            .map(|keys| OpeningKey::new(self.suite.aead, keys.key(), *keys.iv()))
            .transpose()
    }

    /// The secrets of the data; ClientHello...server Finished are in the transcript.
    pub(super) fn application_secrets(
        &self,
        peer: &Peer<'_>,
        common: &Common,
        client_random: &[u8; 32],
    ) -> ApplicationSecrets {
        let secrets = self.main.application_secrets(&peer.transcript.hash());
        if let Some(log) = &common.key_log {
            log.log(
                "CLIENT_TRAFFIC_SECRET_0",
                client_random,
                secrets.client.as_bytes(),
            );
            log.log(
                "SERVER_TRAFFIC_SECRET_0",
                client_random,
                secrets.server.as_bytes(),
            );
            log.log("EXPORTER_SECRET", client_random, secrets.exporter.as_bytes());
        }
        secrets
    }

    /// The secret of the tickets; ClientHello...client Finished are in the transcript (section 4.6.1).
    pub(super) fn into_resumption(self, peer: &Peer<'_>) -> ResumptionSecret {
        self.main.into_resumption(&peer.transcript.hash())
    }

    fn finished_key(&self, sender: Side) -> &FinishedKey {
        match sender {
            Side::Client => &self.client_finished,
            Side::Server => &self.server_finished,
        }
    }

    /// Sends our Finished (section 4.4.4).
    pub(super) fn send_finished(&self, peer: &mut Peer<'_>) -> Result<(), Error> {
        let mac = self.finished_key(peer.side()).mac(&peer.transcript.hash());
        let verify_data = VerifyData::new(mac.as_bytes()).unwrap_or(VerifyData::EMPTY);
        peer.send(&Finished { verify_data })
    }

    /// Waits for the peer's Finished and checks it.
    pub(super) async fn read_finished(&self, peer: &mut Peer<'_>) -> Result<FinishedVerified, Error> {
        let sender = match peer.side() {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        };
        let transcript_hash = peer.transcript.hash();
        let finished = peer.read::<Finished>().await?;
        if !self
            .finished_key(sender)
            .verify(&transcript_hash, &finished.verify_data)
        {
            return Err(Misbehaviour::BadFinished.into());
        }
        Ok(FinishedVerified::new())
    }
}

/// Proof that the peer's Finished verified: nobody changed the handshake.
pub(super) struct FinishedVerified(());

impl FinishedVerified {
    /// For whoever compared the verify_data.
    pub(super) const fn new() -> Self {
        Self(())
    }
}

/// How the peer proved who it is.
pub(super) enum Authenticated {
    /// By a chain that the verifier accepted, and a signature by its key.
    ByCertificate((PeerVerified, HandshakeSignatureVerified)),
    /// By the secret of a session with a peer that the verifier accepts today.
    BySession(PeerVerified),
    /// Not at all: a client that was not asked, or has no certificate.
    Anonymous,
}

impl Authenticated {
    /// Nobody's certificates are shown without the proof that the peer is who they say.
    pub(super) fn vouch_for(&self, mut negotiated: Negotiated) -> Negotiated {
        if matches!(self, Self::Anonymous) {
            negotiated.peer_chain = None;
        }
        negotiated
    }
}

/// Puts the application keys in force and turns the handshake into a connection.
pub(super) fn establish(
    peer: &mut Peer<'_>,
    suite: &'static Suite,
    secrets: ApplicationSecrets,
    negotiated: Negotiated,
    _: FinishedVerified,
    authenticated: Authenticated,
) -> Connection {
    let negotiated = authenticated.vouch_for(negotiated);
    let (read, write) = match peer.side() {
        Side::Client => (secrets.server, secrets.client),
        Side::Server => (secrets.client, secrets.server),
    };
    let side = peer.side();
    let (input, output) = peer.finish();
    let epoch = |secret| Some(Epoch::new(secret, suite.aead, suite.record_limit));
    Connection::new(
        side,
        input,
        output,
        epoch(read),
        epoch(write),
        secrets.exporter,
        negotiated,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::{PeerChain, PeerVerified};

    #[test]
    fn certificates_without_a_proof_are_not_shown() {
        let negotiated = || Negotiated {
            peer_chain: Some(PeerChain::new(vec![vec![1].into()]).into()),
            ..Negotiated::for_test()
        };
        let shown = |authenticated: Authenticated| {
            let negotiated = authenticated.vouch_for(negotiated());
            negotiated.peer_certificates().len()
        };
        assert_eq!(shown(Authenticated::Anonymous), 0);
        assert_eq!(shown(Authenticated::BySession(PeerVerified::assertion())), 1);
    }
}
