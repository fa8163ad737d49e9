//! The part of the schedule that PSKs need (section 7.1): binders, 0-RTT, and the PSKs of tickets.

use super::{DERIVED, EarlySchedule, Exporter, FinishedKey, MainSecret, TrafficSecret};
use crate::crypto::hash::{HashAlgorithm, HashValue};
use crate::crypto::hkdf::{Expander, Label, Secret, extract};
use crate::error::Error;

const RESUMPTION_BINDER: Label = Label::new("res binder");
const EXTERNAL_BINDER: Label = Label::new("ext binder");
const CLIENT_EARLY_TRAFFIC: Label = Label::new("c e traffic");
const EARLY_EXPORTER: Label = Label::new("e exp master");
const RESUMPTION: Label = Label::new("res master");

/// Where a PSK comes from: it decides the label of its binder (section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PskOrigin {
    /// A ticket of an earlier connection.
    Resumption,
    /// Agreed outside of TLS.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for external PSKs, which do not exist yet")
    )]
    External,
}

/// What a PSK gives: its binder, the secrets of 0-RTT, and the early schedule of a handshake that uses it.
#[derive(Debug)]
pub(crate) struct PskSchedule {
    hash: HashAlgorithm,
    pub(super) early: Secret,
    derived: Secret,
    binder: FinishedKey,
}

impl PskSchedule {
    pub(crate) fn new(hash: HashAlgorithm, psk: &Secret, origin: PskOrigin) -> Self {
        let early = extract(hash, Secret::zeros(hash).as_bytes(), psk.as_bytes());
        let binder_label = match origin {
            PskOrigin::Resumption => RESUMPTION_BINDER,
            PskOrigin::External => EXTERNAL_BINDER,
        };
        let (binder_key, derived) = {
            let expander = Expander::new(hash, &early);
            (
                expander.secret(binder_label, hash.of_empty()),
                expander.secret(DERIVED, hash.of_empty()),
            )
        };
        let binder = TrafficSecret {
            hash,
            secret: binder_key,
        }
        .finished_key();
        Self {
            hash,
            early,
            derived,
            binder,
        }
    }

    /// The key of the PSK's binder, which is computed as a Finished (section 4.2.11.2) over the transcript up to
    /// the binders: [`crate::transcript::Transcript::hash_with_suffix`].
    pub(crate) const fn binder(&self) -> &FinishedKey {
        &self.binder
    }

    /// The secrets of 0-RTT: the client's traffic secret and the early exporter. The hash is that of the ClientHello.
    pub(crate) fn early_secrets(&self, transcript_hash: &HashValue) -> (TrafficSecret, Exporter) {
        let hash = self.hash;
        let expander = Expander::new(hash, &self.early);
        (
            TrafficSecret {
                hash,
                secret: expander.secret(CLIENT_EARLY_TRAFFIC, transcript_hash),
            },
            Exporter {
                hash,
                secret: expander.secret(EARLY_EXPORTER, transcript_hash),
            },
        )
    }

    /// The PSK was selected: the handshake goes on with it.
    pub(crate) fn into_early(self) -> EarlySchedule {
        EarlySchedule {
            hash: self.hash,
            derived: self.derived,
        }
    }
}

impl MainSecret {
    /// `transcript_hash` covers ClientHello...client Finished. The last thing the main secret is for.
    pub(crate) fn into_resumption(self, transcript_hash: &HashValue) -> ResumptionSecret {
        let secret = Expander::new(self.hash, &self.secret).secret(RESUMPTION, transcript_hash);
        ResumptionSecret {
            hash: self.hash,
            secret,
        }
    }
}

/// From which the PSK of each ticket is made (section 4.6.1).
#[derive(Debug)]
pub(crate) struct ResumptionSecret {
    hash: HashAlgorithm,
    secret: Secret,
}

impl ResumptionSecret {
    /// The PSK of the ticket with this nonce.
    ///
    /// # Errors
    /// [`Misuse::ExporterRange`] for a nonce longer than 255 bytes, which its encoding does not allow.
    pub(crate) fn psk(&self, ticket_nonce: &[u8]) -> Result<Secret, Error> {
        let mut psk = Secret::zeros(self.hash);
        Expander::new(self.hash, &self.secret).expand_label(
            b"resumption",
            ticket_nonce,
            psk.as_mut_bytes(),
        )?;
        Ok(psk)
    }

    /// The secret itself, for tests against known values.
    #[cfg(test)]
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.secret.as_bytes()
    }
}
