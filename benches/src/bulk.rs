//! Application data in memory, each direction by itself.

use std::hint::black_box;
use std::io::{self, Write};

use crate::aead::BareAead;
use crate::clock::add_cpu;
use crate::identity::Identity;
use crate::rounds::{Effort, Row, Sampler, Unit, Work};
use crate::stack::{Connection, Group, NoMeter, Setup, Stack, Suite, Version, handshake};

/// A client sends writes of one size to a server.
pub struct InMemory {
    /// Bytes of plaintext per write.
    pub write: usize,
    /// The version of TLS.
    pub version: Version,
    /// The suite.
    pub suite: Suite,
}

/// Less is one message, more is bulk.
const SMALL: usize = 1024;
/// Bytes of plaintext per sample of bulk.
const BULK_SAMPLE: usize = 8 << 20;
/// Messages per sample of small ones.
const SMALL_SAMPLE: usize = 5_000;

impl InMemory {
    fn writes(&self, effort: Effort) -> usize {
        if self.write <= SMALL {
            effort.repeat(SMALL_SAMPLE)
        } else {
            effort.repeat(BULK_SAMPLE / self.write)
        }
    }

    /// Writes that are sent and then received in one go: about 1 MiB, which stays in the cache.
    fn batch(&self) -> usize {
        if self.write <= SMALL {
            100
        } else {
            ((1 << 20) / self.write).max(1)
        }
    }
}

impl Work for InMemory {
    fn rows(&self) -> Vec<Row> {
        let (what, unit) = if self.write <= SMALL {
            (format!("small {} B messages", self.write), Unit::Nanoseconds)
        } else {
            (
                format!("bulk {} KiB writes", self.write / 1024),
                Unit::BytesPer(self.write),
            )
        };
        ["send", "receive"]
            .map(|way| {
                let (version, suite) = (self.version.label(), self.suite);
                Row::new(format!("{what}, {version}{suite:?}, {way}"), unit)
            })
            .to_vec()
    }

    fn setup<'a>(&self, identity: &'a Identity) -> Setup<'a> {
        Setup {
            identity,
            version: self.version,
            suite: self.suite,
            groups: &[Group::X25519],
            tickets: false,
            resumption: None,
        }
    }

    fn prepare<S: Stack>(&self, stack: S, effort: Effort) -> Sampler {
        let writes = self.writes(effort);
        let batch = self.batch();
        let plaintext = vec![0x5a; self.write];
        // One client's records go to a sink, the other's to a server.
        let (mut sender, _discarded) = handshake(&stack, &mut NoMeter);
        let (mut feeder, mut receiver) = handshake(&stack, &mut NoMeter);
        let mut buffer = vec![0; self.write.clamp(4 * 1024, 64 * 1024)];
        let mut wire = Vec::new();
        let mut ends = Vec::new();
        Box::new(move || {
            let mut sent = 0.0;
            add_cpu(&mut sent, || {
                for _ in 0..writes {
                    sender.send(black_box(&plaintext), &mut Sink);
                }
            });
            let mut received = 0.0;
            let mut left = writes;
            while left > 0 {
                let now = left.min(batch);
                left -= now;
                wire.clear();
                ends.clear();
                for _ in 0..now {
                    feeder.send(&plaintext, &mut wire);
                    ends.push(wire.len());
                }
                let total: usize = add_cpu(&mut received, || {
                    let mut start = 0;
                    let mut total = 0;
                    for &end in &ends {
                        total += receiver.receive(&wire[start..end], &mut buffer);
                        black_box(&buffer);
                        start = end;
                    }
                    total
                });
                assert_eq!(total, now * plaintext.len(), "plaintext got lost");
            }
            vec![sent / writes as f64, received / writes as f64]
        })
    }

    fn floor(&self, effort: Effort) -> Option<Sampler> {
        let writes = self.writes(effort);
        let mut aeads: Vec<_> = (0..self.batch())
            .map(|_| BareAead::new(self.suite, self.write))
            .collect();
        Some(Box::new(move || {
            let (mut sent, mut received) = (0.0, 0.0);
            let mut left = writes;
            while left > 0 {
                let batch = left.min(aeads.len());
                let now = &mut aeads[..batch];
                left -= now.len();
                add_cpu(&mut sent, || now.iter_mut().for_each(BareAead::seal));
                add_cpu(&mut received, || now.iter_mut().for_each(BareAead::open));
            }
            vec![sent / writes as f64, received / writes as f64]
        }))
    }
}

/// Looks at what is written and drops it.
struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        black_box(bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        black_box(slices);
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
