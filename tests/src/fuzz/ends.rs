//! Two sides that meet over a path that somebody may have a hand in: their handshake, early data, data both ways, and
//! the end.

use tls_core::{Connection, Driver, Error, Progress, ProtocolVersion, ReadEvent, Side};

use super::scenario::{Held, Scenario, Sides};
use crate::pair;

/// More flights than there are in any handshake: then they would go on for ever.
const MAX_ROUNDS: usize = 40;

const FROM_CLIENT: &[u8] = b"from the client to the server";
const FROM_SERVER: &[u8] = b"from the server to the client, a little longer";
/// What a server sends before the client's Finished.
const HALF_EARLY: &[u8] = b"0.5-RTT";

/// One of the two.
pub(super) struct End {
    side: Side,
    /// Until the handshake is over; one that failed stays.
    driver: Option<Driver>,
    connection: Option<Connection>,
    error: Option<Error>,
    /// What the driver has left.
    outgoing: Vec<u8>,
    /// All that it sent, and all that arrived.
    sent: Vec<u8>,
    received: Vec<u8>,
    flights: usize,
    /// Data that was read.
    data: Vec<u8>,
    /// Data that was written, the rejected early data not counted.
    written: Vec<u8>,
}

/// Both.
pub(super) struct Ends {
    pub(super) client: End,
    pub(super) server: End,
    chunk: usize,
}

impl Ends {
    /// Has them meet, as far as it goes. `change` is shown each flight (its sender, its number per sender, its bytes).
    pub(super) fn meet(
        scenario: &Scenario,
        chunk: usize,
        change: impl FnMut(Side, usize, &mut Vec<u8>),
    ) -> Self {
        Self::of(scenario, scenario.sides(), chunk, change)
    }

    /// The same, undisturbed, where this is what they remember.
    pub(super) fn meet_with(scenario: &Scenario, held: &Held) -> Self {
        Self::of(
            scenario,
            scenario.sides_with(Some(held)),
            usize::MAX,
            |_, _, _| {},
        )
    }

    fn of(
        scenario: &Scenario,
        Sides { client, server }: Sides,
        chunk: usize,
        mut change: impl FnMut(Side, usize, &mut Vec<u8>),
    ) -> Self {
        let mut ends = Self {
            client: End::new(Side::Client, scenario.client_driver(&client)),
            server: End::new(Side::Server, scenario.server_driver(&server)),
            chunk,
        };
        ends.client.written = scenario.early.to_vec();
        ends.exchange(&mut change);
        ends.client.write(FROM_CLIENT);
        ends.server.write(FROM_SERVER);
        ends.exchange(&mut change);
        ends.client.close();
        ends.server.close();
        ends.exchange(&mut change);
        ends.client.transport_ends();
        ends.server.transport_ends();
        ends
    }

    /// Until nothing moves any more.
    fn exchange(&mut self, change: &mut impl FnMut(Side, usize, &mut Vec<u8>)) {
        for _ in 0..MAX_ROUNDS {
            self.client.go_on();
            self.server.go_on();
            let mut moved = false;
            for from_client in [true, false] {
                let (from, to) = match from_client {
                    true => (&mut self.client, &mut self.server),
                    false => (&mut self.server, &mut self.client),
                };
                let mut flight = from.transmit();
                if flight.is_empty() {
                    continue;
                }
                moved = true;
                change(from.side, from.flights, &mut flight);
                from.flights += 1;
                for piece in flight.chunks(self.chunk.min(flight.len()).max(1)) {
                    to.receive(piece);
                }
            }
            if !moved {
                return;
            }
        }
        panic!("they talk for ever");
    }

    /// Whether both say that they resumed.
    pub(super) fn is_resumed(&self) -> bool {
        self.client.is_resumed() && self.server.is_resumed()
    }

    /// Whether what arrived is what was sent, and both agree where both are established.
    pub(super) fn check_data(&self, name: &str, agree: bool) {
        for (from, to) in [(&self.client, &self.server), (&self.server, &self.client)] {
            let fits = from.written.starts_with(&to.data);
            // Early data that was rejected is not there.
            let without_early = from
                .written
                .strip_prefix(from.early())
                .is_some_and(|rest| rest.starts_with(&to.data));
            assert!(
                fits || without_early,
                "{name}: {:?} of {:?}",
                to.data,
                from.written
            );
        }
        if let (Some(client), Some(server)) = (&self.client.connection, &self.server.connection) {
            let exported = [client, server].map(|connection| {
                let mut out = [0; 32];
                let done = connection.export_keying_material(&mut out, b"EXPORTER-fuzz", Some(b"context"));
                done.expect("it can be exported");
                out
            });
            assert_eq!(exported[0], exported[1], "{name}: other secrets");
            if agree {
                pair::check_agreement(client, server);
            }
        }
    }
}

impl End {
    const fn new(side: Side, driver: Driver) -> Self {
        Self {
            side,
            driver: Some(driver),
            connection: None,
            error: None,
            outgoing: Vec::new(),
            sent: Vec::new(),
            received: Vec::new(),
            flights: 0,
            data: Vec::new(),
            written: Vec::new(),
        }
    }

    pub(super) const fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// The version, if the handshake is over.
    pub(super) fn established(&self) -> Option<ProtocolVersion> {
        self.connection
            .as_ref()
            .map(|connection| connection.negotiated().version())
    }

    /// Whether it is established, and says that it resumed.
    pub(super) fn is_resumed(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| connection.negotiated().is_resumed())
    }

    /// Whether it would still wait, after the transport has ended.
    pub(super) const fn waits(&self) -> bool {
        self.driver.is_some() && self.error.is_none()
    }

    /// Whether all of this data came.
    pub(super) fn got_all_of(&self, other: &Self) -> bool {
        self.data == other.written
    }

    /// The handshake messages that it sent in the clear.
    pub(super) fn handshake_sent(&self, version: ProtocolVersion) -> Vec<u8> {
        in_the_clear(&self.sent, version)
    }

    /// Those that it received.
    pub(super) fn handshake_received(&self, version: ProtocolVersion) -> Vec<u8> {
        in_the_clear(&self.received, version)
    }

    /// The early data of a client.
    fn early(&self) -> &[u8] {
        self.written.strip_suffix(FROM_CLIENT).unwrap_or_default()
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.received.extend(bytes);
        match (&mut self.driver, &mut self.connection) {
            (Some(driver), _) => driver.receive(bytes),
            (None, Some(connection)) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let space = connection.reader.space();
                    let count = rest.len().min(space.len());
                    space[..count].copy_from_slice(&rest[..count]);
                    connection.reader.filled(count);
                    rest = &rest[count..];
                }
            }
            (None, None) => {}
        }
        self.go_on();
    }

    /// As far as what has come allows.
    fn go_on(&mut self) {
        while let (Some(driver), None) = (&mut self.driver, &self.error) {
            match driver.advance() {
                Ok(Progress::Early) if self.read_early() => {}
                Ok(Progress::Done) => self.establish(),
                Ok(_) => return,
                Err(error) => self.error = Some(error),
            }
        }
        self.read();
    }

    /// Reads the early data that is there. If there will not be more, answers it and goes on with the handshake.
    fn read_early(&mut self) -> bool {
        let Some(driver) = &mut self.driver else {
            return false;
        };
        let Some(early) = driver.early() else { return false };
        loop {
            match early.process() {
                Ok(ReadEvent::Data) => {
                    self.data.extend_from_slice(early.data());
                    early.consume(early.data().len());
                }
                Ok(ReadEvent::NeedMore) => return false,
                Ok(_) | Err(_) => break,
            }
        }
        // It may have failed.
        if let Ok(taken) = early.write(HALF_EARLY) {
            self.written.extend(&HALF_EARLY[..taken]);
        }
        driver.resume();
        true
    }

    /// The handshake is over.
    fn establish(&mut self) {
        if let Some(mut driver) = self.driver.take() {
            self.outgoing = driver.transmit();
            self.connection = Some(driver.into_connection().expect("it is done"));
        }
    }

    fn read(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        loop {
            match connection.reader.process() {
                Ok(ReadEvent::Data) => {
                    self.data.extend_from_slice(connection.reader.data());
                    connection.reader.consume(connection.reader.data().len());
                }
                Ok(_) => return,
                Err(error) => {
                    self.error.get_or_insert(error);
                    return;
                }
            }
        }
    }

    fn transmit(&mut self) -> Vec<u8> {
        let mut bytes = core::mem::take(&mut self.outgoing);
        if let Some(driver) = &mut self.driver {
            bytes.extend(driver.transmit());
        }
        if let Some(connection) = &mut self.connection {
            connection.writer.apply_control().expect("control can be applied");
            bytes.extend(connection.writer.pending());
            connection.writer.sent(connection.writer.pending().len());
        }
        self.sent.extend(&bytes);
        bytes
    }

    /// Writes as much of this as can be written: nothing where it is closed.
    fn write(&mut self, data: &[u8]) {
        if let Some(connection) = &mut self.connection
            && let Ok(taken) = connection.writer.write(data)
        {
            self.written.extend(&data[..taken]);
        }
    }

    fn close(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection
                .writer
                .close_notify()
                .expect("closing is always possible");
        }
    }

    fn transport_ends(&mut self) {
        if let Some(driver) = &mut self.driver {
            driver.eof();
        }
        if let Some(connection) = &mut self.connection {
            connection.reader.eof();
        }
        self.go_on();
    }
}

/// The handshake messages in these records that are not sealed: in TLS 1.2 those before change_cipher_spec.
fn in_the_clear(bytes: &[u8], version: ProtocolVersion) -> Vec<u8> {
    let (mut rest, mut messages) = (bytes, Vec::new());
    while let [kind, _, _, high, low, behind @ ..] = rest
        && let Some((content, behind)) = behind.split_at_checked(usize::from(*high) << 8 | usize::from(*low))
    {
        match *kind {
            22 => messages.extend(content),
            20 if version == ProtocolVersion::TLS12 => break,
            _ => {}
        }
        rest = behind;
    }
    messages
}
