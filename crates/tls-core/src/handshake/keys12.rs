//! The keys of a TLS 1.2 handshake, for both sides (RFC 5246 sections 6.3 and 8.1).

use super::keys::{Authenticated, FinishedVerified};
use crate::config::Common;
use crate::connection::Connection;
use crate::crypto::key_exchange::SharedSecret;
use crate::crypto::suites::Suite;
use crate::error::{Error, Misbehaviour};
use crate::key_schedule12::{KeyBlock, MainSecret12, Randoms};
use crate::messages::finished::Finished;
use crate::messages::short_bytes::VerifyData;
use crate::negotiated::Negotiated;
use crate::peer::Peer;

/// The main secret and what was made of it.
pub(super) struct Keys12 {
    suite: &'static Suite,
    main: Box<MainSecret12>,
    block: Box<KeyBlock>,
}

impl Keys12 {
    /// From the premaster secret. With the extended main secret the transcript so far, up to ClientKeyExchange, goes
    /// into it (RFC 7627 section 4).
    pub(super) fn agree(
        peer: &Peer<'_>,
        common: &Common,
        suite: &'static Suite,
        premaster: &SharedSecret,
        randoms: Randoms,
        extended: bool,
    ) -> Result<Self, Error> {
        let premaster = premaster.as_bytes();
        let main = match extended {
            true => {
                let session_hash = peer.transcript.hash_with_suffix(suite.hash, &[]);
                MainSecret12::extended(suite.hash, premaster, &session_hash, randoms)?
            }
            false => MainSecret12::from_randoms(suite.hash, premaster, randoms)?,
        };
        Self::with_main_secret(common, suite, main)
    }

    fn with_main_secret(common: &Common, suite: &'static Suite, main: MainSecret12) -> Result<Self, Error> {
        if let Some(log) = &common.key_log {
            log.log("CLIENT_RANDOM", main.client_random(), main.as_bytes());
        }
        let block = Box::new(main.key_block(suite)?);
        Ok(Self {
            suite,
            main: Box::new(main),
            block,
        })
    }

    /// From the main secret of an earlier session, with new randoms (RFC 5246 section 7.3).
    pub(super) fn resume(
        common: &Common,
        suite: &'static Suite,
        main_secret: &[u8],
        randoms: Randoms,
    ) -> Result<Self, Error> {
        let main = MainSecret12::resumed(suite.hash, main_secret, randoms)?;
        Self::with_main_secret(common, suite, main)
    }

    /// The main secret, for a session.
    pub(super) fn main_secret(&self) -> &[u8] {
        self.main.as_bytes()
    }

    /// change_cipher_spec, and Finished under the new keys (RFC 5246 7.1 and 7.4.9).
    pub(super) fn send_finished(&self, peer: &mut Peer<'_>) -> Result<(), Error> {
        let verify_data = self.main.finished(peer.side(), &peer.transcript.hash())?;
        self.send_as_finished(peer, &verify_data)
    }

    /// The same with any bytes, for tests too.
    pub(super) fn send_as_finished(&self, peer: &mut Peer<'_>, verify_data: &[u8]) -> Result<(), Error> {
        peer.send_change_cipher_spec()?;
        peer.set_write_keys12(self.suite, self.block.of(peer.side()))?;
        peer.send(&Finished {
            verify_data: VerifyData::new(verify_data).unwrap_or(VerifyData::EMPTY),
        })
    }

    /// The peer's change_cipher_spec and Finished.
    pub(super) async fn read_finished(&self, peer: &mut Peer<'_>) -> Result<FinishedVerified, Error> {
        let sender = peer.side().other();
        peer.read_change_cipher_spec().await?;
        peer.set_read_keys12(self.suite, self.block.of(sender))?;
        let transcript_hash = peer.transcript.hash();
        let finished = peer.read::<Finished>().await?;
        match self
            .main
            .verify_finished(sender, &transcript_hash, &finished.verify_data)?
        {
            true => Ok(FinishedVerified::new()),
            false => Err(Misbehaviour::BadFinished.into()),
        }
    }
}

/// Turns the handshake into a connection.
pub(super) fn establish12(
    peer: &mut Peer<'_>,
    keys: Keys12,
    negotiated: Negotiated,
    _: FinishedVerified,
    authenticated: Authenticated,
) -> Connection {
    let negotiated = authenticated.vouch_for(negotiated);
    let side = peer.side();
    let (input, output) = peer.finish();
    Connection::new(side, input, output, None, None, keys.main, negotiated)
}
